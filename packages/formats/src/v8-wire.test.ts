import fc from "fast-check";
import { expect, it } from "vitest";
import { unsafeReason } from "./v8-wire.ts";
import { v8 } from "./v8.ts";

/** No estimate of so few bytes is begun without need, and none exceeds it. */
const PLENTY = Infinity;
/** The estimate is kept for any bytes, and no value is small enough. */
const NONE = -16 * 1024;

it("any bytes are judged alike with and without an estimate of memory", () => {
  fc.assert(
    fc.property(fc.constantFrom(...SEEDS), edits, (seed, changes) => {
      const bytes = Uint8Array.from(
        changes.reduce(
          (all, { at, removed, added }) => all.toSpliced(at % (all.length + 1), removed, ...added),
          [...seed],
        ),
      );
      const reason = unsafeReason(bytes, NONE);
      const isTooMuch = reason?.startsWith("it would take more than") === true;
      expect(unsafeReason(bytes, PLENTY)).toBe(isTooMuch ? undefined : reason);
    }),
    { numRuns: 10_000, examples: SEEDS.map((seed): [Uint8Array, []] => [seed, []]) },
  );
});

const edits = fc.array(fc.record({ at: fc.nat(), removed: fc.nat(2), added: fc.uint8Array({ maxLength: 3 }) }), {
  maxLength: 3,
});

const SEEDS: readonly Uint8Array[] = [
  ...[
    { rows: [1, 200, -20_000, 2e6, 5e9, 1 / 7].map((id) => ({ id, name: `user ${id}`, active: true, none: null })) },
    { "7": 1, "12": [{ "3": 2 }], "9x": "digits first", "": 0, é: 1, ["n".repeat(200)]: "x".repeat(200) },
    [new Date(1e12), new Set([1, "a"]), new Map([["a", { b: 1 }]]), Buffer.from("bytes"), 2n ** 70n, /a/g],
    Object.assign([1, 2], { also: 3 }),
    [new Error("message", { cause: { a: 1 } }), new Uint16Array(2)],
  ].map((value) => v8().encode(value)),
  // __proto__ in Latin-1, an index as text, an integer of four bytes, zero bytes before a tag, 16 million holes.
  ...[
    "ff0f6f22095f5f70726f746f5f5f547b01",
    "ff0f6f2202313254007b01",
    "ff0f6f220161498080800100227b01",
    "ff0f00006f00007b00",
    "ff0f61ffffff074000ffffff07",
  ].map((bytes) => Buffer.from(bytes, "hex")),
];
