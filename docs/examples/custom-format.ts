// A custom format, introduced while other processes still write the old one. REDIS_URL is the address of Redis.

import assert from "node:assert/strict";
import { createCache, json, redis, type Cache } from "hotset";
import type { Format } from "hotset/backend";

/** Lists of numbers as float64: 8 bytes each, and nothing else. */
export const numbers = (): Format => ({
  id: "float64.1", // stored beside each entry: another layout needs another id
  encode: (value) => {
    if (!Array.isArray(value) || !value.every((item) => typeof item === "number"))
      throw new TypeError("float64 writes lists of numbers only");
    return new Uint8Array(Float64Array.from(value).buffer);
  },
  decode: (bytes) => {
    if (bytes.byteLength % 8 !== 0) throw new RangeError("float64 reads whole numbers of 8 bytes only");
    return [...new Float64Array(new Uint8Array(bytes).buffer)]; // a copy: `bytes` may begin anywhere in its buffer
  },
});

const url = process.env["REDIS_URL"] ?? "redis://localhost:6379";
const keyPrefix = process.env["KEY_PREFIX"] ?? "hotset-examples";
const openCache = (format: Format, alsoReads: Format): Cache =>
  createCache({ name: "series" })
    .tier(redis(url).keyPrefix(keyPrefix).valueFormat(format).alsoReads(alsoReads).build())
    .defaults({ ttl: "1m" })
    .build();

// A rolling deploy: the old version writes JSON, the new one writes float64, and each reads both.
await using before = openCache(json(), numbers());
await using after = openCache(numbers(), json());
await Promise.all([before.connect(), after.connect()]);

await before.set("temperatures", [20.5, 21.25]);
assert.deepEqual(await after.get("temperatures"), [20.5, 21.25]);
await after.set("pressures", [1013.25, 1009]);
assert.deepEqual(await before.get("pressures"), [1013.25, 1009]);

// A value that the format cannot write is refused, and nothing is stored.
await assert.rejects(after.set("names", ["Ada"]), { code: "ENCODE_FAILED" });
assert.equal(await after.get("names"), undefined);

for (const key of ["temperatures", "pressures"]) {
  const info = await after.inspect(key);
  console.log(`${key}: ${info?.encoding?.format}, ${info?.encoding?.bytes} bytes`);
}
await after.deleteMany(["temperatures", "pressures"]);
