import fc from "fast-check";
import { expect, it } from "vitest";
import { msgpack } from "./msgpack.ts";
import { inspect } from "./wire.ts";

const PLENTY = 8 * 1024 * 1024;
/** The estimate is kept for any bytes, and no value is small enough. */
const NONE = -16 * 1024;

it("C403: any bytes are judged alike with and without an estimate of memory", () => {
  fc.assert(
    fc.property(fc.constantFrom(...SEEDS), edits, (seed, changes) => {
      const bytes = Uint8Array.from(
        changes.reduce(
          (all, { at, removed, added }) => all.toSpliced(at % (all.length + 1), removed, ...added),
          [...seed],
        ),
      );
      const reason = verdict(bytes, NONE);
      expect(verdict(bytes, PLENTY)).toBe(reason.startsWith("it would take more than") ? "read" : reason);
    }),
    { numRuns: 10_000, examples: SEEDS.map((seed): [Uint8Array, []] => [seed, []]) },
  );
});

function verdict(bytes: Uint8Array, maxBytes: number): string {
  try {
    inspect(bytes, maxBytes);
    return "read";
  } catch (error) {
    return (error as Error).message;
  }
}

const edits = fc.array(fc.record({ at: fc.nat(), removed: fc.nat(2), added: fc.uint8Array({ maxLength: 3 }) }), {
  maxLength: 3,
});

const SEEDS: readonly Uint8Array[] = [
  ...[
    {
      rows: [1, 200, -200, 70_000, 5e9, 1 / 7, -7].map((id) => ({ id, name: `user ${id}`, active: true, none: null })),
    },
    { "7": 1, "12": [{ "3": 2 }], "9x": "digits first", "": 0, é: 1, ["n".repeat(40)]: "x".repeat(40) },
    [
      new Date(1e12),
      new Set([1, "a"]),
      new Map([["a", { b: 1 }]]),
      Buffer.from("bytes"),
      2n ** 70n,
      new Uint16Array(2),
    ],
  ].map((value) => msgpack().encode(value)),
  // __proto__, also with its length in a byte of its own; a name that ends after the bytes; one in an overlong form.
  ...["81a95f5f70726f746f5f5f01", "9181d9095f5f70726f746f5f5f01", "81a5616263", "81a2c0b901"].map((bytes) =>
    Buffer.from(bytes, "hex"),
  ),
];
