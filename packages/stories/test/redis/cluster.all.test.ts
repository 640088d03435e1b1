/** A cache over a Redis Cluster: entries in all slots, their tag versions in one, and the loss of a node. */
import type { Cache } from "@hotset/core";
import { cluster } from "@hotset/redis";
import { randomPrefix, startCluster, untilReplicated, type ClusterNode } from "@hotset/test-servers";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { impatient, over, patient, type OverRedisOptions } from "../support/over-redis.ts";
import { never, rejectionsDuring, STACKS_WITH_BACKEND } from "../support/stacks.ts";
import { watch } from "../support/watch.ts";

const KEYS = Array.from({ length: 90 }, (_, i) => `k${i}`);
const RECOVERY = { interval: 50 };

/** A busy node that says nothing for a while has not failed: its replica does not take its place. */
const NODE_TIMEOUT_MS = 15_000;
let prefix: string;
const servers = await startCluster({ nodeTimeoutMs: NODE_TIMEOUT_MS });
afterAll(() => servers.stop());
beforeEach(() => {
  prefix = randomPrefix();
});

const open = (options?: OverRedisOptions): Cache =>
  over(patient(cluster(servers.urls)).keyPrefix(prefix).build(), options);
const slotKeyOf = (key: string): string => `${prefix}:shop::${key}`;
/** The Redis key of the tag versions of the cache. */
const tagKey = (): string => `${prefix}:{~shop}::`;

/** Sets this on all nodes that run. */
async function configure(name: string, value: string | number): Promise<void> {
  for (const node of servers.nodes) if (node.state === "running") await node.command("CONFIG", "SET", name, value);
}

/** Waits until the replicas have all acknowledged writes. */
async function replicated(): Promise<void> {
  for (const node of await servers.masters()) await untilReplicated(node);
}

/** Waits until calls work again for keys of all nodes. */
const whole = (cache: Cache) =>
  expect
    .poll(async () => {
      const written = await cache.setMany(KEYS.map((key) => [`whole ${key}`, key] as const));
      return { ...written, read: (await cache.getMany(KEYS.map((key) => `whole ${key}`))).size };
    }, RECOVERY)
    .toEqual({ stored: KEYS.length, pending: 0, refused: 0, read: KEYS.length });

describe.each(STACKS_WITH_BACKEND)("C91: over %s, in a cluster", (stack) => {
  it("each call reaches the nodes of its keys", async () => {
    const owners = new Set(await Promise.all(KEYS.map((key) => servers.ownerOf(slotKeyOf(key)))));
    expect(owners.size).toBe(3);
    const [cache, other] = [open({ stack, staleWhileRevalidate: "1h" }), open()];
    for (const [i, key] of KEYS.entries()) await (i % 2 === 0 ? cache.set(key, i) : cache.getOrSet(key, () => i));
    for (const [i, key] of KEYS.entries())
      expect([await cache.get(key), await other.get(key), await other.getOrSet(key, never)]).toEqual([i, i, i]);
    expect([...(await other.getMany([...KEYS, "none"])).entries()]).toEqual(KEYS.map((key, i) => [key, i]));
    expect(
      await cache.getOrSetMany<string, unknown>(
        [...KEYS, "none"],
        (key) => key,
        (missing) => missing.map((key) => [key, key]),
      ),
    ).toEqual(new Map<string, unknown>([...KEYS.map((key, i) => [key, i] as const), ["none", "none"]]));
    expect(await cache.markStale("k1")).toEqual({ status: "stale" });
    expect([await other.get("k1"), await other.get("k1", { allowStale: true })]).toEqual([undefined, 1]);
    expect(await cache.delete("k2")).toMatchObject({ status: "deleted" });
    expect(await cache.deleteMany([...KEYS, "nothing"])).toEqual({ deleted: KEYS.length - 1, missing: 2, pending: 0 });
    expect((await other.getMany(KEYS)).size).toBe(0);
  });

  it("an invalidation by tag, and a clear, reach entries of all nodes at once", async () => {
    const [cache, other] = [open({ stack }), open()];
    const users = cache.namespace("users");
    const fill = async (): Promise<void> => {
      for (const [i, key] of KEYS.entries()) await users.set(key, i, { tags: [`t${i % 3}`] });
      await cache.set("sibling", 1);
    };
    const found = async () => (await other.namespace("users").getMany<number>(KEYS)).size;
    await fill();
    expect(await found()).toBe(KEYS.length);
    expect(await cache.invalidateTags("t0", "t1")).toMatchObject({ status: "done" });
    expect((await users.getMany(KEYS)).size).toBe(KEYS.length / 3);
    // Another cache knows the versions until the message arrives, and the entries are on other nodes.
    await expect.poll(found, RECOVERY).toBe(KEYS.length / 3);
    expect(await users.clear()).toMatchObject({ status: "done" });
    expect([(await users.getMany(KEYS)).size, await other.get("sibling")]).toEqual([0, 1]);
    await expect.poll(found, RECOVERY).toBe(0);
    await fill();
    expect(await found()).toBe(KEYS.length);
  });
});

describe.each(STACKS_WITH_BACKEND)("C91: over %s, when a primary dies", (stack) => {
  // A replica takes its place soon.
  beforeEach(() => configure("cluster-node-timeout", 2_000));
  afterEach(() => configure("cluster-node-timeout", NODE_TIMEOUT_MS));

  const victims: readonly (readonly [which: string, find: () => Promise<ClusterNode>])[] = [
    [
      "that holds entries alone",
      async () => {
        const tags = await servers.ownerOf(tagKey());
        return (await servers.masters()).find((node) => node !== tags)!;
      },
    ],
    ["that holds the tag versions", () => servers.ownerOf(tagKey())],
  ];

  it.for(victims)(
    "one %s: reads go on, no wrong value is read, and pending calls are replayed (C93, C94)",
    async ([, find]) => {
      const cache = open({ stack });
      const other = open();
      const recoveries = watch(cache, "recover");
      await cache.setMany(KEYS.map((key) => [key, `${key} old`] as const));
      await cache.set("tagged", "old", { tags: ["t"] });
      await replicated();
      const victim = await find();
      const lost = (
        await Promise.all(
          KEYS.map(async (key) => ({ key, isLost: (await servers.ownerOf(slotKeyOf(key))) === victim })),
        )
      )
        .filter(({ isLost }) => isLost)
        .map(({ key }) => key);
      const [deleted, replaced, lostOne] = lost as [string, string, string];
      const untouched = KEYS.filter((key) => key !== deleted && key !== replaced);
      const hasTags = victim === (await servers.ownerOf(tagKey()));

      const rejections = await rejectionsDuring(async () => {
        await victim.kill();
        // All at once: none waits until a replica has taken its place.
        expect(
          await Promise.all([cache.delete(deleted), cache.set(replaced, "new"), cache.invalidateTags("t")]),
        ).toEqual([
          { status: "pending" },
          { status: "pending" },
          expect.objectContaining({ status: hasTags ? "pending" : "done" }),
        ]);

        // Under load until all works again: each value names its key, and removed values do not come back.
        for (let i = 0; i === 0 || cache.stats().pending > 0; i += 1) {
          const key = untouched[i % untouched.length]!;
          expect([`${key} old`, `${key} loaded`]).toContain(await cache.getOrSet(key, () => `${key} loaded`));
          expect([undefined, `${lostOne} old`, `${lostOne} loaded`]).toContain(await other.get(lostOne));
          for (const [found, value] of await cache.getMany<string>(KEYS))
            expect(
              found === deleted ? [] : found === replaced ? ["new"] : [`${found} old`, `${found} loaded`],
            ).toContain(value);
          expect([await cache.get(deleted), await cache.get("tagged")]).toEqual([undefined, undefined]);
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      });
      expect(rejections).toEqual([]);
      await whole(cache);
      await whole(other);
      expect(await servers.ownerOf(slotKeyOf(deleted))).not.toBe(victim);
      expect([await other.get(deleted), await other.get(replaced), await other.get("tagged")]).toEqual([
        undefined,
        undefined,
        undefined,
      ]);
      expect(recoveries.at(-1)![1]).toMatchObject({ tier: "redis", overflowed: false });
      // Once the topology names the successor for all slots; a state is that of the last call.
      await expect
        .poll(async () => {
          await cache.get(deleted);
          return cache.stats().tiers.at(-1);
        })
        .toMatchObject({ state: "up" });

      await victim.start();
      await servers.waitUntilOk();
    },
  );
});

describe.each([
  ["tracking", "client|tracking", /refuses tracking: NOPERM .*grant the user \+client\|tracking/],
  ["pubsub", "subscribe", /refuses to report changes: NOPERM .*grant the user \+subscribe/],
] as const)("a primary that takes over later and refuses %s", (coherence, right, message) => {
  // A replica that was asked to take over may be asked again after four times this.
  beforeEach(() => configure("cluster-node-timeout", 2_000));
  afterEach(() => configure("cluster-node-timeout", NODE_TIMEOUT_MS));

  it("is reported by name, once for each refusal, however often it is asked again", async () => {
    const [primary] = await servers.masters();
    const [replica] = await servers.replicas(primary);
    const part = `127.0.0.1:${replica!.port}`;
    const asked = async (): Promise<number> => {
      const stats = String(await replica!.command("INFO", "commandstats"));
      return Number(new RegExp(`cmdstat_${right.replace("|", "\\|")}:.*rejected_calls=(\\d+)`).exec(stats)?.[1] ?? 0);
    };
    const askedOften = async (): Promise<void> => {
      const before = await asked();
      await expect.poll(asked, RECOVERY).toBeGreaterThan(before + 5);
    };
    const backend = impatient(cluster(servers.urls)).keyPrefix(prefix).coherence(coherence).maxStaleness("400ms");
    const cache = over(backend.build(), { stack: "memory over backend" });
    await whole(cache);
    const refusals: unknown[] = [];
    cache.on("backend:error", ({ operation, error }) => operation === "attach" && refusals.push(error));
    const refusal = {
      code: "INVALID_CONFIGURATION",
      message: expect.stringMatching(new RegExp(`^redis: ${part} ${message.source}`)),
    };
    // Known by calls to all nodes.
    const state = async () => {
      await cache.setMany(KEYS.map((key) => [key, 1] as const));
      return cache.stats().tiers.at(-1)?.state;
    };
    await replica!.command("ACL", "SETUSER", "default", `-${right}`);
    try {
      await servers.promote(replica!);
      await askedOften();
      expect([refusals, await state()]).toEqual([[expect.objectContaining(refusal)], "degraded"]);
      await replica!.command("ACL", "SETUSER", "default", `+${right}`);
      await expect.poll(state, RECOVERY).toBe("up");
      await replica!.command("ACL", "SETUSER", "default", `-${right}`);
      await replica!.command("CLIENT", "KILL", "TYPE", coherence === "pubsub" ? "pubsub" : "normal", "SKIPME", "yes");
      await askedOften();
      expect([refusals.length, refusals[1], await state()]).toEqual([2, expect.objectContaining(refusal), "degraded"]);
    } finally {
      await replica!.command("ACL", "SETUSER", "default", "+@all");
      await servers.waitUntilOk();
    }
  });
});
