import { json, type Duration } from "@hotset/core";
import { redis, sentinel, type RedisBackend } from "@hotset/redis";
import { startSentinel, untilReplicated } from "@hotset/test-servers";
import { afterAll, describe, expect, it } from "vitest";
import { stored } from "./stored.ts";

const urls = () => servers.sentinels.map(({ url }) => url);
const open = (primaryName = servers.name, connectTimeout: Duration = "5s"): RedisBackend =>
  redis(sentinel(urls(), { primaryName }))
    .password("serverpass")
    .valueFormat(json())
    .responseTimeout("1s")
    .connectTimeout(connectTimeout)
    .backoff({ base: 10, max: 100 })
    .build();

const servers = await startSentinel({ password: "serverpass", sentinelPassword: "sentinelpass" });
afterAll(() => servers.stop());

describe("sentinel", () => {
  it("finds the primary, with separate credentials for sentinels and servers", async () => {
    // Loads node-redis, which is not what this test is about, and takes seconds on a busy machine.
    const backend = open(servers.name, "1m");
    await backend.connect!();
    await backend.write("shop::1", stored());
    expect(await (await servers.primary()).command("EXISTS", "hotset:shop::1")).toBe(1);
    expect((await backend.read("shop::1"))?.data).toEqual(Buffer.from("value"));
    await backend.close();
  });

  it("reports a primary name that no sentinel knows at once", async () => {
    const backend = open("other");
    await expect(backend.connect!()).rejects.toMatchObject({
      code: "BACKEND_UNAVAILABLE",
      retryable: false,
      message: expect.stringMatching(/no sentinel knows a primary named "other"; check primaryName/),
    });
    await backend.close();
  });

  it("works with one sentinel unreachable or frozen", async () => {
    const [first, second] = servers.sentinels;
    await first!.kill();
    const backend = open();
    expect(await backend.read("shop::none")).toBe(undefined);
    await backend.close();
    await first!.start();

    second!.pause();
    const other = open();
    await other.connect!();
    expect(await other.read("shop::none")).toBe(undefined);
    await other.close();
    second!.resume();
  });

  it("A95: leaves a primary that is replaced while it lives for the new one", async () => {
    const backend = open();
    await backend.write("shop::1", stored("before"));
    const previous = await servers.primary();
    const next = await servers.failover();
    await expect
      .poll(() => backend.write("shop::2", stored("after")).then(() => next.command("EXISTS", "hotset:shop::2")))
      .toBe(1);
    expect((await backend.read("shop::2"))?.data).toEqual(Buffer.from("after"));
    await backend.close();
    await servers.rejoin(previous);
  });

  it("finds the successor of a primary that dies", async () => {
    const backend = open();
    await backend.write("shop::3", stored("before"));
    const victim = await servers.primary();
    await untilReplicated(victim);
    await victim.kill();
    const next = await servers.waitForPrimary(victim);
    await expect.poll(() => backend.read("shop::3").then((entry) => entry?.data.toString())).toBe("before");
    await backend.write("shop::4", stored());
    expect(await next.command("EXISTS", "hotset:shop::4")).toBe(1);
    await backend.close();
    await servers.rejoin(victim);
  });
});
