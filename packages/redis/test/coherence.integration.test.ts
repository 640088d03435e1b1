import { json } from "@hotset/core";
import { redis, type RedisBackend } from "@hotset/redis";
import { startOwnRedis, type OwnRedis } from "@hotset/test-servers";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { RecordingListener } from "./recording-listener.ts";

let server: OwnRedis;
beforeAll(async () => {
  server = await startOwnRedis();
});
afterAll(() => server.stop());

let backend: RedisBackend;
let listener: RecordingListener;
beforeEach(async () => {
  await server.command("FLUSHALL");
  backend = redis(server.url).valueFormat(json()).build();
  listener = new RecordingListener();
  await backend.coherence!.attach(listener);
});
afterEach(() => backend.close());

/** An answer on the tracking connection: what was acknowledged before has been heard. */
const barrier = (): Promise<number> => backend.ping();

async function heardOf(...commands: readonly (readonly (string | number)[])[]): Promise<readonly string[]> {
  await barrier();
  listener.take();
  for (const command of commands) await server.command(...command);
  await barrier();
  return listener.take();
}

describe("what others change", () => {
  it("C81: is heard before an answer to anything that is asked afterwards, whatever command changed it", async () => {
    expect(await heardOf(["HSET", "hotset:shop::1", "d", "x"])).toEqual(["changed shop::1"]);
    expect(await heardOf(["HSET", "hotset:shop::1", "d", "x"])).toEqual(["changed shop::1"]);
    expect(await heardOf(["PEXPIRE", "hotset:shop::1", 60_000])).toEqual(["changed shop::1"]);
    expect(await heardOf(["PERSIST", "hotset:shop::1"])).toEqual(["changed shop::1"]);
    expect(await heardOf(["RENAME", "hotset:shop::1", "hotset:shop::2"])).toEqual(expect.arrayContaining(["changed shop::1", "changed shop::2"]));
    expect(await heardOf(["DEL", "hotset:shop::2"])).toEqual(["changed shop::2"]);
    expect(await heardOf(["SET", "hotset:shop::2", "another type"])).toEqual(["changed shop::2"]);
    expect(await heardOf(["FLUSHALL"])).toEqual(["everything"]);
    expect(await heardOf(["SET", "hotset:{~shop}::user", "1.1|1.1"])).toEqual(["tag {~shop}::user"]);
  });
});
