import { readFileSync } from "node:fs";
import { inspect, isDeepStrictEqual } from "node:util";
import { EncodeError, type Format, json, msgpack, v8 } from "hotset";
import { describe, expect, it } from "vitest";

class Money {
  readonly cents = 1;
}
class Price extends Money {
  toJSON(): string {
    return "0.01 EUR";
  }
}
const cycle: unknown[] = [];
cycle.push(cycle);

/** One value for each row of the table "What comes back". */
const SAMPLES: Readonly<Record<string, unknown>> = {
  "text, finite numbers, booleans, `null`, arrays, plain objects": ["a", 1.5, true, null, [], { a: { b: [] } }],
  "text with a lone surrogate": "a\ud800",
  "`-0`": -0,
  "`NaN`, an infinity": NaN,
  "`undefined` as a property": undefined,
  "`undefined` in an array": [undefined],
  "a hole in an array": new Array(1),
  "`bigint`": 2n ** 70n,
  "`Date`": new Date("2026-01-31T08:00:00Z"),
  "an invalid `Date`": new Date(NaN),
  "`Map`": new Map([[1, { a: 2 }]]),
  "`Set`": new Set([1]),
  "`Uint8Array`": Uint8Array.of(1, 2),
  "`Buffer`": Buffer.from([1, 2]),
  "other typed arrays": Float64Array.of(1.5),
  "`ArrayBuffer`": new ArrayBuffer(2),
  "`RegExp`": /a/g,
  "`Error`": new RangeError("e"),
  "`Promise`": Promise.resolve(1),
  "an instance of a class": new Money(),
  "an instance with `toJSON`": new Price(),
  "a function": () => 1,
  "a symbol": Symbol("s"),
  "a cycle": cycle,
  "a property named `__proto__`": JSON.parse('{"__proto__":1}'),
};
const FORMATS: readonly Format[] = [json(), msgpack(), v8()];

const page = readFileSync(new URL("../../../../docs/guide/formats.md", import.meta.url), "utf8");
const section = page.slice(page.indexOf("## What comes back"), page.indexOf("## What it costs"));
const rows = section
  .split("\n")
  .filter((line) => line.startsWith("| "))
  .map((line) => line.slice(2, -2).split(" | "));

describe("the table of what comes back, in docs/guide/formats.md (C111)", () => {
  it("has a column for each format and a row for each kind of value", () => {
    expect(rows[0]).toEqual(["value", ...FORMATS.map(({ id }) => `\`${id}\``)]);
    expect(rows.slice(1).map(([kind]) => kind)).toEqual(Object.keys(SAMPLES));
  });

  const cells = rows
    .slice(1)
    .flatMap(([kind, ...verdicts]) =>
      verdicts.map((verdict, i) => [kind!, FORMATS[i]!.id, verdict, FORMATS[i]!] as const),
    );

  it.each(cells)("is right about %s in %s: %s", (kind, _, verdict, format) => {
    const value = SAMPLES[kind];

    expect(verdict.replace(" ¹", "")).toBe(outcome(format, value));
    // The footnote: inside a value JSON's own rules hold; as the whole value it is refused.
    if (verdict.endsWith("¹")) expect(() => format.encode(value)).toThrow(EncodeError);
  });
});

/** The result for `value` as a property, in the words of the page. */
function outcome(format: Format, value: unknown): string {
  let bytes: Uint8Array;
  try {
    bytes = format.encode({ value });
  } catch (error) {
    expect(error).toBeInstanceOf(EncodeError);
    return "refused";
  }
  const decoded = format.decode(bytes) as { readonly value?: unknown };
  if (!("value" in decoded)) return "left out";
  return isDeepStrictEqual(decoded.value, value) && Object.is(decoded.value, -0) === Object.is(value, -0)
    ? "kept"
    : `\`${inspect(decoded.value)}\``;
}
