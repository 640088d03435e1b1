/** Which changes are pushed to a process: of the keys that it has read since their last push, and of no others. */
import { json, type StoredEntry } from "@hotset/core";
import { redis, type RedisBackend, type RedisBackendBuilder } from "@hotset/redis";
import { startOwnRedis } from "@hotset/test-servers";
import { afterAll, afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { makeFull } from "./memory-full.ts";
import { RecordingListener } from "./recording-listener.ts";

const KEY = "shop::1";
const TOKEN = "token-of-mine___";
const TAG = "{~shop}::user";
const stored = (version = "version-1_______"): StoredEntry => ({
  data: Buffer.from("value"),
  staleInMs: 60_000,
  expiresInMs: 360_000,
  meta: "1 0;",
  version,
});

let backend: RedisBackend;
let other: RedisBackend;
let listener: RecordingListener;
const open = (
  settings: (builder: RedisBackendBuilder) => RedisBackendBuilder = (builder) => builder,
  url = server.url,
): RedisBackend => settings(redis(url).valueFormat(json()).responseTimeout("10s")).build();

const server = await startOwnRedis();
afterAll(() => server.stop());

beforeEach(async () => {
  await server.command("FLUSHALL");
  backend = open();
  other = open();
  listener = new RecordingListener();
  await backend.coherence!.attach(listener);
});
afterEach(() => Promise.all([backend.close(), other.close()]));

/** All reports up to now, each once. */
async function reported(): Promise<readonly string[]> {
  await backend.ping();
  return [...new Set(listener.take())];
}

/** The reports that `change` causes here. */
async function reportedOf(change: () => Promise<unknown>): Promise<readonly string[]> {
  await reported();
  await change();
  return reported();
}

/** The reports about the key; equal ones in a row count once. */
const reportsOf = (listener: RecordingListener): readonly string[] =>
  listener
    .take()
    .map((line) => line.replace(` ${KEY}`, ""))
    .filter((line, i, all) => line !== all[i - 1]);

describe("an entry", () => {
  it("is reported to processes that have read it, once for each read, and to no others", async () => {
    expect(await reportedOf(() => other.write(KEY, stored()))).toEqual([]);
    await backend.read(KEY);
    expect(await reportedOf(() => other.write("shop::2", stored()))).toEqual([]);
    expect(await reportedOf(() => other.write(KEY, stored()))).toEqual([`changed ${KEY}`]);
    expect(await reportedOf(() => other.write(KEY, stored()))).toEqual([]);
    await backend.read(KEY);
    expect(await reportedOf(() => other.remove(KEY))).toEqual([`changed ${KEY}`]);
  });

  it("is reported after a write of this process that no read preceded", async () => {
    await backend.write(KEY, stored());
    expect(await reportedOf(() => other.remove(KEY))).toEqual([`changed ${KEY}`]);
  });

  it.each(["full", "string"] as const)(
    "is not reported after a store, or a write of a string, where no cache keeps copies: layout %s",
    async (layout) => {
      const alone = open((builder) => builder.layout(layout));
      onTestFinished(() => alone.close());
      const miss = async (): Promise<void> => {
        await other.remove(KEY);
        await alone.leases!.acquire({ key: KEY, token: TOKEN, leaseMs: 10_000, seen: "" });
        expect(await alone.leases!.store(KEY, TOKEN, "", stored())).toBe(true);
      };
      const reportedAfter = async (change: () => Promise<void>): Promise<readonly string[]> => {
        await change();
        await alone.ping();
        none.take();
        await other.remove(KEY);
        await alone.ping();
        return none.take();
      };
      const write = (): Promise<void> => alone.write(KEY, stored());
      // Over hashes a write counts the fields that are there, which is a read.
      const changes = layout === "string" ? [miss, write] : [miss];
      const none = Object.assign(new RecordingListener(), { keepsCopies: false });
      await alone.coherence!.attach(none);
      for (const change of changes) expect(await reportedAfter(change)).toEqual([]);
      const detach = await alone.coherence!.attach(new RecordingListener());
      for (const change of changes) expect(await reportedAfter(change)).toEqual([`changed ${KEY}`]);
      await detach();
      for (const change of changes) expect(await reportedAfter(change)).toEqual([]);
    },
  );

  it("is reported after a store of this process, also where the table of the server was full meanwhile", async () => {
    await backend.leases!.acquire({ key: KEY, token: TOKEN, leaseMs: 10_000, seen: "" });
    await server.command("CONFIG", "SET", "tracking-table-max-keys", 1);
    for (let i = 0; i < 20; i += 1) await backend.read(`shop::other${i}`);
    await expect.poll(reported).toContain(`changed ${KEY}`);
    await server.command("CONFIG", "SET", "tracking-table-max-keys", 1_000_000);
    expect(await backend.leases!.store(KEY, TOKEN, "", stored(TOKEN))).toBe(true);
    expect(await reportedOf(() => other.remove(KEY))).toEqual([`changed ${KEY}`]);
  });

  it("is reported after a load began, also where that removed an entry which was over for its process", async () => {
    await backend.write(KEY, stored("version-1"));
    const began = (): Promise<unknown> =>
      backend.leases!.acquire({ key: KEY, token: TOKEN, leaseMs: 10_000, seen: "version-1", isOver: true });
    expect(await reportedOf(began)).toContain(`changed ${KEY}`);
    expect(await reportedOf(() => other.write(KEY, stored()))).toContain(`changed ${KEY}`);
  });

  it("that is large is reported to its own writer, which then reads it, and leaves nothing in the table", async () => {
    const tracked = async (): Promise<number> => Number((await server.info("stats"))["tracking_total_keys"]);
    await backend.read("shop::other");
    const before = await tracked();
    const large = { ...stored(), data: Buffer.alloc(300_000, "x") };
    expect(await reportedOf(() => backend.write(KEY, large))).toEqual([`changed ${KEY}`]);
    expect(await backend.leases!.confirm(KEY)).toBe(large.version);
    // Redis 7.0 counts the lease as read, too.
    expect((await tracked()) - before).toBeLessThanOrEqual(2);
    expect(await reportedOf(() => other.remove(KEY))).toEqual([`changed ${KEY}`]);
  });

  it("is reported after a write that was refused, since its process keeps the value", async () => {
    await using full = await startOwnRedis();
    await using mine = { backend: open(undefined, full.url), [Symbol.asyncDispose]: () => mine.backend.close() };
    const listener = new RecordingListener();
    await mine.backend.coherence!.attach(listener);
    await makeFull(full);
    await expect(mine.backend.write(KEY, { ...stored(), data: Buffer.alloc(50_000) })).rejects.toThrow(/^OOM /);
    await mine.backend.ping();
    listener.take();
    await full.command("EVAL", "redis.call('DEL', 'x') redis.call('SET', KEYS[1], 'x')", 1, `hotset:${KEY}`);
    await mine.backend.ping();
    expect(listener.take()).toEqual([`changed ${KEY}`]);
  });

  it.each(["full", "plain"] as const)(
    "is reported to a process whose lease was refused, and leaves a copy where there is one, in the layout %s",
    async (layout) => {
      const waiting = open((builder) => builder.layout(layout));
      const waiter = new RecordingListener();
      await waiting.coherence!.attach(waiter);
      for (const seen of ["", "version-1_______"]) {
        if (seen !== "") await other.write(KEY, stored(seen));
        await other.leases!.acquire({ key: KEY, token: "token-of-other__", leaseMs: 10_000, seen });
        expect(await waiting.leases!.acquire({ key: KEY, token: TOKEN, leaseMs: 10_000, seen })).toMatchObject({
          granted: false,
        });
        await waiting.ping();
        waiter.take();
        await other.leases!.release(KEY, "token-of-other__");
        await waiting.ping();
        expect(waiter.take()).toEqual([seen === "" ? `changed ${KEY}` : `lease loose ${KEY}`]);
      }
      await waiting.close();
    },
  );

  it.each(["full", "string"] as const)(
    "in the layout %s an own store is reported, then its lease, and behind them a later change",
    async (layout) => {
      const own = open((builder) => builder.layout(layout));
      const listener = new RecordingListener();
      await own.coherence!.attach(listener);
      const store = async (seen: string, size: number): Promise<void> => {
        await own.read(KEY);
        expect(await own.leases!.acquire({ key: KEY, token: TOKEN, leaseMs: 10_000, seen })).toMatchObject({
          granted: true,
        });
        await own.ping();
        listener.take();
        const version = `version-${size}`;
        expect(await own.leases!.store(KEY, TOKEN, seen, { ...stored(version), data: Buffer.alloc(size) })).toBe(true);
      };
      await store("", 10);
      await other.remove(KEY);
      await own.ping();
      expect(reportsOf(listener)).toEqual(["changed", "lease exact", "changed"]);
      // Nothing is read behind a large value: it is confirmed by another read. Over an entry, too.
      for (const [seen, size] of [
        ["", 300_000],
        ["version-300000", 200_000],
      ] as const) {
        await store(seen, size);
        await own.ping();
        const reports = reportsOf(listener);
        expect([reports.includes("changed"), reports.includes("lease exact")]).toEqual([true, false]);
      }
      await own.close();
    },
  );

  it("that falls out of the server's table is reported as changed", async () => {
    await server.command("CONFIG", "SET", "tracking-table-max-keys", 1);
    try {
      await reported();
      for (let i = 0; i < 20; i += 1) await backend.read(`shop::${i}`);
      await expect.poll(() => listener.received.length).toBeGreaterThanOrEqual(19);
    } finally {
      await server.command("CONFIG", "SET", "tracking-table-max-keys", 1_000_000);
    }
  });
});

it("nothing is published where all track", async () => {
  const calls = async (): Promise<string> =>
    /cmdstat_publish:calls=\d+/.exec(String(await server.command("INFO", "commandstats")))?.[0] ?? "none";
  await server.command("CONFIG", "RESETSTAT");
  await backend.write(KEY, stored());
  await backend.remove(KEY);
  await backend.tagVersions!.renew([TAG], "hard");
  expect(await calls()).toBe("none");
  const publishing = open((builder) => builder.coherence("pubsub"));
  await publishing.write(KEY, stored());
  expect(await calls()).toBe("cmdstat_publish:calls=1");
  await publishing.close();
});

describe("a tag", () => {
  it("is reported to processes that have read or pinned its version", async () => {
    await other.tagVersions!.pin([TAG]);
    expect(await reportedOf(() => other.tagVersions!.renew([TAG], "hard"))).toEqual([]);
    await backend.tagVersions!.read([TAG]);
    expect(await reportedOf(() => other.tagVersions!.renew([TAG], "hard"))).toEqual([`tag ${TAG}`]);
    await backend.tagVersions!.pin([TAG]);
    expect(await reportedOf(() => other.tagVersions!.renew([TAG], "soft"))).toContain(`tag ${TAG}`);
  });

  it("that was never read here is reported as some tag once versions were pinned: a loader may add it", async () => {
    await other.tagVersions!.pin([TAG]);
    await backend.tagVersions!.pin(["{~shop}::"]);
    await backend.tagVersions!.pin(["{~shop}::"]);
    expect(await reportedOf(() => other.tagVersions!.renew([TAG], "hard"))).toEqual(["tag {~shop}::~"]);
    expect(await reportedOf(() => other.tagVersions!.renew([TAG], "hard"))).toEqual([]);
  });

  it("the same for a user who may run no script, and so pins nothing", async () => {
    await server.command(
      ...["ACL", "SETUSER", "reader", "on", ">secret", "~*", "+@read", "+@connection", "+client|tracking", "+info"],
    );
    const reading = open(undefined, server.url.replace("redis://", "redis://reader:secret@"));
    const listener = new RecordingListener();
    await reading.coherence!.attach(listener);
    await other.tagVersions!.pin([TAG]);
    await expect(reading.tagVersions!.pin(["{~shop}::"])).rejects.toThrow(/^NOPERM /);
    listener.take();
    await other.tagVersions!.renew([TAG], "hard");
    await reading.ping();
    expect(listener.take()).toEqual(["tag {~shop}::~"]);
    await reading.close();
  });
});
