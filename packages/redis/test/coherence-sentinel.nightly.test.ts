import { json } from "@hotset/core";
import { redis, sentinel, type RedisBackend } from "@hotset/redis";
import { randomPrefix, RespClient, startSentinel } from "@hotset/test-servers";
import { describeBackend } from "@hotset/testing/contract-suites";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { RecordingListener } from "./recording-listener.ts";
import { stored } from "./stored.ts";

const servers = await startSentinel({ downAfterMs: 30_000 });
afterAll(() => servers.stop());

const make = (mode: "tracking" | "pubsub", prefix: string, responseTimeout: "1s" | "10s" = "1s"): RedisBackend =>
  redis(
    sentinel(
      servers.sentinels.map(({ url }) => url),
      { primaryName: servers.name },
    ),
  )
    .keyPrefix(prefix)
    .valueFormat(json())
    .coherence(mode)
    .maxStaleness(400)
    .connectTimeout(responseTimeout === "10s" ? "10s" : "2s")
    .responseTimeout(responseTimeout)
    .backoff({ base: 10, max: 100 })
    .build();

const open = (mode: "tracking" | "pubsub"): RedisBackend => {
  const backend = make(mode, "hotset");
  onTestFinished(() => backend.close());
  return backend;
};

/** Sets how long a server may be silent before the sentinels replace it. */
async function downAfter(ms: number): Promise<void> {
  for (const { url } of servers.sentinels) {
    const sentinel = RespClient.fromUrl(url);
    await sentinel.command("SENTINEL", "SET", servers.name, "down-after-milliseconds", ms);
    sentinel.close();
  }
}

let prefix: string;
describeBackend("redis behind sentinels, several processes", {
  // The first call of a process loads node-redis: that may take longer than the default deadline.
  open: () => make("tracking", (prefix = randomPrefix()), "10s"),
  openPeer: () => make("tracking", prefix, "10s"),
  async cut() {
    await (await servers.primary()).command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  },
  expiry: "server",
  leasesReplaceMissing: true,
});

describe.each([["tracking"], ["pubsub"]] as const)("coherence behind sentinels by %s", (mode) => {
  it("C86 C91: reports the loss of a primary that dies, then receives changes from its successor and reports a replacement", async () => {
    const backend = open(mode);
    const listener = new RecordingListener();
    await backend.coherence!.attach(listener);
    const victim = await servers.primary();
    await downAfter(1_000);
    await victim.kill();
    await expect.poll(() => listener.losses.length).toBe(1);
    listener.signs.splice(0);
    let losses = listener.losses.length;
    // Waits until there is a successor.
    await backend.coherence!.attach(listener);
    // The sentinel that is asked here may learn of it a little later.
    await expect.poll(() => servers.primary()).not.toBe(victim);
    await expect.poll(() => listener.received).toContain("replaced");
    await expect.poll(() => listener.signs.length).toBeGreaterThan(0);
    // The sentinel that learns of the successor last may still name the former one: then there is one more loss.
    const writer = open(mode);
    await expect
      .poll(async () => {
        if (listener.losses.length > losses) {
          losses = listener.losses.length;
          await backend.coherence!.attach(listener);
        }
        await backend.read("shop::1").catch(() => undefined);
        await writer.write("shop::1", stored()).catch(() => undefined);
        return listener.received;
      })
      .toContain("changed shop::1");
    await downAfter(30_000);
    await servers.rejoin(victim);
  });

  it("A95 A96: reports the loss of a primary that is replaced while it lives, and the replacement", async () => {
    const backend = open(mode);
    const listener = new RecordingListener();
    await backend.coherence!.attach(listener);
    const previous = await servers.primary();
    const next = await servers.failover();
    await expect.poll(() => listener.losses.length).toBe(1);
    await backend.coherence!.attach(listener);
    await expect.poll(() => listener.received).toContain("replaced");
    await backend.read("shop::1");
    await next.command("HSET", "hotset:shop::1", "d", "x");
    await next.command("PUBLISH", "hotset~changes", "1 me hotset:shop::1");
    await expect.poll(() => listener.received).toContain("changed shop::1");
    await servers.rejoin(previous);
  });
});
