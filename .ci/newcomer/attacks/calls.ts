/** Keys that users choose, names that programs choose, and what servers answer. */
import assert from "node:assert/strict";
import { inspect } from "node:util";
import { cluster, createCache, keyOf, memory, redis } from "hotset";
import { processorTime, type Attack } from "./victim.ts";

const PASSWORD = "hunter2secret";

/** The processor time of that many calls in flight, with keys of 104 characters. */
function flood(keyOf: (i: number) => string, count: number): Promise<number> {
  const cache = createCache({ name: "flood" }).tier(memory()).defaults({ ttl: "1m" }).build();
  let release!: (value: number) => void;
  const gate = new Promise<number>((resolve) => (release = resolve));
  return processorTime(async () => {
    const calls = Array.from({ length: count }, (_, i) => cache.getOrSet(keyOf(i), () => gate));
    release(1);
    await Promise.all(calls);
    await cache.close();
  });
}

/** @throws unless `work` fails with an error whose message has these words. */
async function isRefused(work: () => unknown, words: RegExp): Promise<void> {
  await assert.rejects(async () => work(), words);
}

export const CALLS: Readonly<Record<string, (on: Attack) => Promise<void>>> = {
  async "keys of one length that differ in the middle alone"() {
    const number = (i: number): string => String(i).padStart(8, "0");
    await flood((i) => number(i), 1_000);
    const ordinary = await flood((i) => `${number(i)}${"a".repeat(96)}`, 16_000);
    const crafted = await flood((i) => `${"a".repeat(32)}${number(i)}${"b".repeat(64)}`, 16_000);
    assert(crafted < 3 * ordinary + 300, `${crafted} ms, and ${ordinary} ms for ordinary keys`);
  },
  async "a key of 24 levels of shared references"() {
    let data: unknown = "x";
    for (let level = 0; level < 24; level += 1) data = [data, data];
    const spentMs = await processorTime(() => assert.throws(() => keyOf("search", data as string), /65,?536|64 KiB/));
    assert(spentMs < 300, `it took ${spentMs} ms`);
  },
  async "300,000 calls that wait"() {
    const cache = createCache({ name: "shop" }).tier(memory()).defaults({ ttl: "1m", hardTimeout: "1s" }).build();
    let refused = 0;
    const calls = Array.from({ length: 300_000 }, (_, i) =>
      cache
        .getOrSet(`k${i}`, () => new Promise<never>(() => {}))
        .catch((error: { code?: string }) => {
          if (error.code === "OVERLOADED") refused += 1;
        }),
    );
    await Promise.all(calls);
    assert.equal(refused, 200_000, `${refused} calls were refused`);
  },
  async "leases without an end, and of an hour"({ redis: client, open }) {
    const { cache } = open();
    await client.set("hotset~lease:{hotset:shop::endless}", "x");
    await client.set("hotset~lease:{hotset:shop::long}", "x", { expiration: { type: "PX", value: 3_600_000 } });
    for (const key of ["endless", "long"]) {
      const startedAt = performance.now();
      assert.equal(await cache.getOrSet(key, () => "loaded"), "loaded");
      assert(performance.now() - startedAt < 4_000, "the call waited for a false lease");
    }
  },
  async "a namespace of a cache without a name, which has the keys of a cache of that name"({ urls }) {
    const cache = createCache({ name: "" }).tier(redis(urls.single).build()).defaults({ ttl: "1m" }).build();
    await isRefused(() => cache.namespace("users"), /needs a cache with a name/);
    await cache.close();
  },
  async "a prefix inside another, and names without a prefix"({ urls }) {
    await isRefused(() => redis(urls.single).keyPrefix("hotset:shop").build(), /keyPrefix/);
    await isRefused(
      () => createCache({ name: "shop" }).tier(redis(urls.single).keyPrefix("").coherence("none").build()).build(),
      /name|keyPrefix/,
    );
  },
  async "keys of other programs, where there is no prefix"({ redis: client, urls }) {
    await client.set("session:admin", "theirs");
    await client.set("payments:lock", "theirs");
    const cache = createCache({ name: "" })
      .tier(redis(urls.single).keyPrefix("").coherence("none").build())
      .defaults({ ttl: "1m" })
      .build();
    await cache.set("session:admin", "ours").catch(() => {});
    await cache.delete("payments:lock").catch(() => {});
    assert.equal(await cache.get("session:admin"), undefined);
    await cache.close();
    assert.deepEqual([await client.get("session:admin"), await client.get("payments:lock")], ["theirs", "theirs"]);
  },
  async "a server without HELLO, which quotes the password"({ urls }) {
    const left: unknown[] = [];
    process.on("warning", (warning) => left.push(warning));
    const cache = createCache({ name: "shop" }).tier(redis(urls.withoutHello).build()).defaults({ ttl: "1m" }).build();
    cache.on("backend:error", (event) => left.push(event));
    await cache.connect().catch((error: unknown) => left.push(error));
    await cache.getOrSet("k", () => 1);
    await cache.close({ timeout: 100 });
    assert(left.length > 0, "nothing was reported");
    const shown = inspect(left, { depth: 12, showHidden: true });
    assert(!shown.includes(PASSWORD) && !JSON.stringify(left).includes(PASSWORD), "the password left the process");
  },
  async "a cluster that names other hosts"({ urls }) {
    const [first, ...others] = urls.cluster as readonly [string, ...string[]];
    /** Other nodes to which the client connects, when it is allowed what `isAllowed` says. */
    const reached = async (isAllowed: (port: number) => boolean): Promise<number> => {
      const resolveAddress = (address: { host: string; port: number }) =>
        isAllowed(address.port) ? address : undefined;
      const cache = createCache({ name: "shop" })
        .tier(
          redis(cluster([first], { resolveAddress }))
            .clientName("victim")
            .build(),
        )
        .defaults({ ttl: "1m" })
        .build();
      for (let i = 0; i < 50; i += 1) await cache.getOrSet(`k${i}`, () => i);
      const lists = await Promise.all(others.map(clientsOf));
      await cache.close({ timeout: 100 });
      return lists.filter((list) => list.includes("name=victim")).length;
    };
    assert((await reached(() => true)) >= 2, "the cluster names no other host");
    assert.equal(await reached((port) => first.endsWith(`:${port}`)), 0);
  },
  async "credentials that differ between URLs of one cluster"() {
    await isRefused(
      () => redis(cluster(["redis://a:one@127.0.0.1:1", "redis://a:two@127.0.0.1:2"])).build(),
      /credentials|password/,
    );
  },
};

async function clientsOf(url: string): Promise<string> {
  const { createClient } = await import("@redis/client");
  const client = await createClient({ url, RESP: 2 }).connect();
  const list = await client.sendCommand(["CLIENT", "LIST"]);
  client.destroy();
  return String(list);
}
