import { scriptedBackend } from "@hotset/testing";
import { expect, it } from "vitest";
import type { Cache } from "../cache/cache.ts";
import { createCache } from "../cache/create-cache.ts";
import type { Compressor } from "../contracts/backend.ts";
import { systemClock } from "../contracts/clock.ts";
import { EncodeError } from "../contracts/errors.ts";
import { json } from "../formats/json.ts";

const MIB = 2 ** 20;
const KEYS = Array.from({ length: 16 }, (_, i) => `k${i}`);
const half: Compressor = {
  id: "half",
  compress: (bytes) => Promise.resolve(bytes.subarray(bytes.length / 2)),
  decompress: (bytes) => bytes,
};

/** A cache, the values that were encoded, and the most bytes that were encoded in one turn of the loop. */
function opened(compressor?: Compressor) {
  const encoded: (string | undefined)[] = [];
  let [inTurn, most] = [0, 0];
  const format = {
    ...json(),
    encode: (value: unknown) => {
      const { id, size } = value as { readonly id: string; readonly size?: number };
      encoded.push(id);
      if (size === undefined) throw new EncodeError("no size");
      const bytes = Buffer.alloc(size);
      if (inTurn === 0) setImmediate(() => (inTurn = 0));
      inTurn += bytes.length;
      most = Math.max(most, inTurn);
      return bytes;
    },
    decode: (bytes: Uint8Array) => bytes.length,
  };
  const backend = scriptedBackend({ clock: systemClock, format, ...(compressor && { compressor }) });
  return { cache: createCache({ name: "turns" }).tier(backend).build(), encoded, most: () => most };
}

const big = (id: string): { id: string; size: number } => ({ id, size: MIB });
const loadAll = (cache: Cache): Promise<unknown> =>
  cache.getOrSetMany(KEYS, String, (keys) => keys.map((key) => [key, big(key)] as const));

it.each([
  ["as they are", undefined, MIB],
  ["compressed", half, MIB / 2],
])(
  "values that are loaded together are encoded 5 MiB in a turn at most, in their order, and stored: %s",
  async (_, by, size) => {
    const { cache, encoded, most } = opened(by);
    await loadAll(cache);
    expect(encoded).toEqual(KEYS);
    expect(most()).toBeGreaterThanOrEqual(4 * MIB);
    expect(most()).toBeLessThanOrEqual(5 * MIB);
    expect([...(await cache.getMany(KEYS)).values()]).toEqual(KEYS.map(() => size));
    await cache.close();
  },
);

it("a value of a later turn that cannot be encoded is for its callers, and reported", async () => {
  const { cache, encoded } = opened();
  const errors: unknown[] = [];
  cache.on("backend:error", ({ key, error }) => errors.push([key, error instanceof EncodeError]));
  const values = await Promise.all(
    KEYS.map((key) => cache.getOrSet(key, () => (key === "k12" ? { id: key } : big(key)))),
  );
  expect(values.map(({ id }) => id)).toEqual(KEYS);
  expect(encoded.filter((id) => id !== undefined)).toEqual(KEYS);
  expect(errors).toEqual([["k12", true]]);
  await cache.close();
});

it("set encodes what it was given, in the turn of its caller", async () => {
  const { cache, encoded } = opened();
  const values = KEYS.map(big);
  const sets = values.map((value) => cache.set(value.id, value));
  expect(encoded).toEqual(KEYS);
  for (const value of values) value.size = 1;
  await Promise.all(sets);
  expect([...(await cache.getMany(KEYS)).values()]).toEqual(KEYS.map(() => MIB));
  await cache.close();
});
