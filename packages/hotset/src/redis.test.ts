import { fromClient, gzip, json, passthrough, redis, RedisBackend, v8, zstd } from "hotset";
import { expect, it } from "vitest";

const URL = "redis://127.0.0.1:1";
const ids = ({ format, compressor, alsoReads = [] }: RedisBackend): string[] =>
  [...new Set([format, compressor, ...alsoReads].map(({ id }) => id))].filter((id) => id !== "none").toSorted();

it("R1-06 writes msgpack without compression by default", () => {
  const backend = redis(URL).build();
  expect([backend.format.id, backend.compressor.id]).toEqual(["msgpack", "none"]);
  const other = RedisBackend.builder().connection(URL).valueFormat(json()).compressor(zstd()).build();
  expect([other.format.id, other.compressor.id]).toEqual(["json", "zstd"]);
});

it("R1-06 reads all that the package ships while nothing is configured, and v8 only on request", () => {
  const shipped = ["brotli", "gzip", "json", "msgpack", "zstd"];
  expect(ids(redis(URL).build())).toEqual(shipped);
  expect(ids(RedisBackend.builder().connection(URL).build())).toEqual(shipped);
  expect(ids(redis(URL).alsoReads(v8()).build())).toEqual([...shipped, "v8"].toSorted());
});

it("C140 reads the configured format and compressor, and alsoReads, alone", () => {
  expect(ids(redis(URL).valueFormat(json()).build())).toEqual(["brotli", "gzip", "json", "zstd"]);
  expect(ids(redis(URL).compressor(zstd()).build())).toEqual(["json", "msgpack", "zstd"]);
  expect(ids(redis(URL).valueFormat(json()).compressor(zstd()).build())).toEqual(["json", "zstd"]);
  expect(ids(redis(URL).valueFormat(json()).compressor(passthrough()).build())).toEqual(["json"]);
  expect(ids(redis(URL).alsoReads(v8()).valueFormat(json()).compressor(zstd()).alsoReads(gzip()).build())).toEqual([
    "gzip",
    "json",
    "v8",
    "zstd",
  ]);
  expect(ids(RedisBackend.builder().valueFormat(json()).compressor(zstd()).connection(URL).build())).toEqual([
    "json",
    "zstd",
  ]);
});

it("gives the user's own client the same defaults", () => {
  const client: Parameters<typeof fromClient>[0] = {
    isOpen: false,
    sendCommand: () => Promise.reject(new Error("not asked")),
    withTypeMapping: () => client,
    connect: () => Promise.resolve(),
    on: () => client,
    duplicate: () => client,
    close: () => Promise.resolve(),
  };
  expect(redis(fromClient(client)).build().format.id).toBe("msgpack");
});
