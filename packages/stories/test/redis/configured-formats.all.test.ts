/** Entries whose meta names another format than the configured one, written straight into Redis. */
import { createHmac, timingSafeEqual } from "node:crypto";
import { DecodeError, json, type Format } from "@hotset/core";
import { gzip } from "@hotset/formats";
import { msgpack } from "@hotset/formats/msgpack";
import * as own from "@hotset/redis";
import { startOwnRedis } from "@hotset/test-servers";
import * as hotset from "hotset";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { over } from "../support/over-redis.ts";
import { watch } from "../support/watch.ts";

const server = await startOwnRedis();
afterAll(() => server.stop());
afterEach(() => server.command("FLUSHALL"));

const plain = json();
const sign = (bytes: Uint8Array): Buffer => createHmac("sha256", "secret").update(bytes).digest();
const signed: Format = {
  id: "signed",
  encode: (value) => Buffer.concat([sign(plain.encode(value)), plain.encode(value)]),
  decode(bytes) {
    const body = bytes.subarray(32);
    if (bytes.length < 32 || !timingSafeEqual(sign(body), bytes.subarray(0, 32))) throw new DecodeError("not signed");
    return plain.decode(body);
  },
};
const FORGED = { role: "root" };

describe.each([
  ["hotset", hotset.redis],
  ["@hotset/redis", own.redis],
] as const)("C140 redis() of %s with a signed format", (_, redis) => {
  it.each<[meta: string, data: Uint8Array]>([
    ['["json"]', plain.encode(FORGED)],
    ['["msgpack"]', msgpack().encode(FORGED)],
    ['["signed"]', plain.encode(FORGED)],
    ["", plain.encode(FORGED)],
  ])("does not believe what is written under the meta %j", async (meta, data) => {
    const cache = over(redis(server.url).valueFormat(signed).responseTimeout("20s").build());
    const seen = watch(cache, "decode:error");
    await server.command("HSET", "hotset:shop::mallory", "d", Buffer.from(data), "s", `0 w1;${meta}`);
    expect(await cache.get("mallory")).toBeUndefined();
    expect(seen.map(([, { key, error }]) => [key, error.code])).toEqual([["mallory", "DECODE_FAILED"]]);
    expect(await cache.getOrSet("mallory", () => ({ role: "guest" }))).toEqual({ role: "guest" });
    expect(await cache.get("mallory")).toEqual({ role: "guest" });
  });

  it("reads the format that alsoReads names", async () => {
    const cache = over(redis(server.url).valueFormat(signed).alsoReads(json()).responseTimeout("20s").build());
    await server.command("HSET", "hotset:shop::k", "d", Buffer.from(plain.encode("Ada")), "s", '0 w1;["json"]');
    expect(await cache.get("k")).toBe("Ada");
  });

  it("reads no compressor but the configured one", async () => {
    const data = Buffer.from(await gzip().compress(signed.encode("Ada")));
    await server.command("HSET", "hotset:shop::k", "d", data, "s", '0 w1;["signed",null,0,0,0,{"c":"gzip"}]');
    const of = (builder: own.RedisBackendBuilder) => over(builder.valueFormat(signed).responseTimeout("20s").build());
    expect(await of(redis(server.url).compressor(hotset.passthrough())).get("k")).toBeUndefined();
    expect(await of(redis(server.url).compressor(hotset.passthrough()).alsoReads(gzip())).get("k")).toBe("Ada");
    expect(await of(redis(server.url).compressor(gzip())).get("k")).toBe("Ada");
  });
});
