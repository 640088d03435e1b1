import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis, RedisView } from "@hotset/redis-toolkit";
import { hashSlot } from "@hotset/redis-toolkit/connection";
import { activeUsers, uniques } from "@hotset/redis-toolkit/counters";
import { leaderboard } from "@hotset/redis-toolkit/leaderboard";
import { locks } from "@hotset/redis-toolkit/lock";
import { presence, userPresence } from "@hotset/redis-toolkit/presence";
import { pubsub } from "@hotset/redis-toolkit/pubsub";
import { queue, simpleQueue } from "@hotset/redis-toolkit/queue";
import {
  concurrency,
  expressRateLimitStore,
  fixedWindow,
  gcra,
  rateLimit,
  slidingCounter,
  slidingLog,
  tokenBucket,
} from "@hotset/redis-toolkit/rate-limit";
import { sessions } from "@hotset/redis-toolkit/sessions";
import { consumer, streams } from "@hotset/redis-toolkit/streams";
import { randomPrefix, type OwnRedis } from "@hotset/test-servers";
import { describe, expect, it } from "vitest";
import { startServers } from "./servers.ts";

const servers = startServers();

interface Row {
  readonly pattern: string;
  readonly type: string;
  readonly module: string;
}

/** The rows of the page, one for each key. */
async function documentedKeys(): Promise<readonly Row[]> {
  const page = await readFile(new URL("../../../docs/reference/toolkit-keys.md", import.meta.url), "utf8");
  const cells = page
    .split("\n")
    .flatMap((line) => (line.startsWith("| `") ? [line.split("|").map((cell) => cell.trim())] : []));
  return cells.flatMap(([, keys = "", type = "", module = ""]) =>
    [...keys.matchAll(/`([^`]+)`/g)].map(([, pattern = ""]) => ({ pattern, type, module: module.replaceAll("`", "") })),
  );
}

const PLACEHOLDERS: Readonly<Record<string, string>> = {
  window: String.raw`\d{4}-(?:\d{2}|W\d{2}|\d{2}-\d{2}(?:T\d{2})?)`,
  ms: String.raw`\d+`,
  hash: "[A-Za-z0-9_-]+",
  rest: "[^{}]+",
};

/** Matches a key inside its tenant. */
function matcher(pattern: string, tenant: string): RegExp {
  const parts = pattern.split(/<([a-z]+)>/);
  const text = parts.map((part, i) => {
    if (i % 2 === 0)
      return part.replace(/[{}|.*+?^$()[\]\\]/g, String.raw`\$&`).replace(/\{(?=\w)/, (brace) => `${brace}${tenant}:`);
    if (part === "tenant") return tenant;
    const isTagged = parts[i - 1]!.endsWith("{");
    // The tag of a name is below the tenant; a tag that came with a name, or with the id of a session, is as it came.
    return PLACEHOLDERS[part] ?? (isTagged ? `${part === "tag" ? "" : `${tenant}:`}[^{}]+` : "[^:{}]+");
  });
  return new RegExp(`^${text.join("")}$`);
}

/** Braces, percents and globs, which no key may be led astray by. */
const ODD = "a}b{c% *";

/** Does all that writes a key, or a channel. */
const MODULES: Readonly<Record<string, (redis: RedisView) => Promise<void>>> = {
  "/streams": async (redis) => {
    const options = { maxDeliveries: 1, onError: () => undefined };
    for (const name of ["payments", "{eu}payments"]) {
      const stream = streams(redis).stream(name);
      await using worker = consumer(stream, "processors", options, () => Promise.reject(new Error("poison")));
      await stream.append({ type: "payment" });
      await expect.poll(() => worker.counts.buried).toBe(1);
      expect(await stream.dead.len()).toBe(1);
    }
  },
  "/queue": async (redis) => {
    const jobs = queue<number>(redis, ODD, { attempts: 1, keep: { completed: 10 } });
    await jobs.add(1, { dedupId: "one", dedupFor: "1h" });
    await jobs.add(2);
    await jobs.add(3, { delay: "1h" });
    await jobs.repeat("digest", { every: "1h" }, 4);
    const worker = jobs.worker((job) => (job.data === 2 ? Promise.reject(new Error("no")) : Promise.resolve()), {
      rate: { limit: 100, per: "1s" },
    });
    await expect.poll(async () => (await jobs.counts()).dead).toBe(1);
    await worker.stop();
    const list = simpleQueue(redis, "emails");
    await list.push("a");
    await list.push("b");
    expect(await list.pop()).toBe("a");
  },
  "/lock": async (redis) => {
    const lock = locks(redis);
    const waiting = async (): Promise<void> => {
      await using _lease = await lock.acquire(ODD, { wait: "15s" });
    };
    const lease = await lock.acquire(ODD, { ttl: "2m" });
    const next = waiting();
    await sleep(150);
    await lease.release();
    await next;
    await (await lock.acquire(["{order}:a", "{order}:b"])).release();
    await lock.acquire("{order}:a");
    await (await lock.semaphore(ODD, 2).acquire()).release();
    await lock.semaphore(ODD, 2).acquire();
    const { read, write } = lock.readWrite(ODD);
    await (await write.acquire()).release();
    await (await read.acquire()).release();
    await read.acquire();
  },
  "/rate-limit": async (redis) => {
    const rules = [fixedWindow(), slidingLog(), slidingCounter(), tokenBucket(), concurrency()];
    const limit = rateLimit(redis, { name: "api", rules, deadline: "1m" });
    expect((await limit.consume(ODD)).allowed).toBe(true);
    await limit.block(ODD, "1m");
    const other = rateLimit(redis, { name: "api", rules: [gcra()], deadline: "1m" });
    expect((await other.consume("another")).allowed).toBe(true);
    const store = expressRateLimitStore(redis, { deadline: "1m" });
    store.init({ windowMs: 60_000 });
    expect((await store.increment(ODD)).totalHits).toBe(1);
  },
  "/sessions": async (redis) => {
    const auth = sessions<{ cart: string }>(redis);
    const visit = await auth.create({ data: { cart: "book" } });
    const login = await auth.regenerate(visit.id, { userId: ODD });
    await auth.update(login!.id, { cart: "pen" });
    expect(await auth.list(ODD)).toHaveLength(1);
    await auth.destroyAll("another");
    const old = sessions<{ user: string }>(redis, { store: "json", userId: ({ user }) => user });
    const { id } = await old.create({ data: { user: ODD } });
    await old.regenerate(id);
  },
  "/leaderboard": async (redis) => {
    const all = { ties: "first-reached", ranks: "dense" } as const;
    await leaderboard(redis, ODD, all).set("ada", 1);
    for (const window of ["hourly", "daily", "weekly", "monthly"] as const) {
      const board = leaderboard(redis, ODD, { ...all, window });
      await board.incr("ada");
      expect(await board.previous().top()).toEqual([]);
      for (const scores of ["sum", "best"] as const)
        expect(await board.union({ windows: 2, scores, maxAge: "1m" }).size()).toBe(1);
    }
    const lowest = leaderboard(redis, ODD, { ranks: "dense", order: "lowest", window: "daily" });
    expect(await lowest.union({ windows: 2, scores: "best", maxAge: "1m" }).size()).toBe(1);
    const hours = leaderboard(redis, ODD, { ...all, window: "hourly", keep: 99 });
    for (const scores of ["sum", "best"] as const) expect(await hours.union({ windows: 100, scores }).size()).toBe(1);
  },
  "/presence": async (redis) => {
    expect(await presence(redis, ODD, { throttle: "1s" }).seen("ada")).toBe(1);
    expect(await userPresence(redis, ODD).seen("ada", "tab")).toBe(false);
  },
  "/counters": async (redis) => {
    const users = activeUsers(redis, ODD);
    await users.mark(7);
    expect(await users.count({ windows: 2 })).toBe(1);
    for (const group of [undefined, "pages"])
      for (const window of [undefined, "weekly"] as const)
        await uniques(redis, `${ODD}:`, {
          ...(group === undefined ? {} : { group }),
          ...(window === undefined ? {} : { window }),
        }).add("ada");
    for (const group of [undefined, "pages"]) {
      const hours = uniques(redis, ODD, { ...(group && { group }), window: "hourly", keep: 99 });
      await hours.add("ada");
      expect(await hours.count({ windows: 100 })).toBe(1);
    }
  },
  "/pubsub": async (redis) => {
    for (const kind of ["channel", "shard"] as const) {
      const channel = pubsub(redis).channel("news", { kind });
      await using _subscription = await channel.subscribe();
      await channel.publish("hello");
    }
  },
};

const TENANTS = 64;

/** An object of each kind, whose name is the same for each tenant. */
async function ofOneName(redis: RedisView): Promise<void> {
  await queue<number>(redis, "emails").add(1, { dedupId: "one" });
  await locks(redis).acquire("report");
  await rateLimit(redis, { name: "api", rules: [fixedWindow(), gcra()], deadline: "1m" }).consume("everyone");
  await leaderboard(redis, "points", { ranks: "dense" }).set("ada", 1);
  await presence(redis, "online").seen("ada");
  await activeUsers(redis, "visits").mark(7);
  await uniques(redis, "pages", { group: "site" }).add("ada");
  await sessions(redis).create({ userId: "admin" });
}

interface Seen {
  readonly keys: ReadonlySet<string>;
  readonly channels: ReadonlySet<string>;
}

/** Every key and channel of every command, also of those in scripts, as the servers' own `MONITOR` shows them. */
async function keysOf(nodes: readonly OwnRedis[], task: () => Promise<void>): Promise<Seen> {
  const commands = new Map<string, readonly string[]>();
  const taps = await Promise.all(nodes.map((node) => tap(node, (line) => commands.set(line, wordsOf(line)))));
  await task();
  await Promise.all(taps.map((stop) => stop()));
  const [keys, channels] = [new Set<string>(), new Set<string>()];
  for (const [name = "", ...args] of commands.values()) {
    const command = name.toLowerCase();
    if (/^[sp]?subscribe$/.test(command)) for (const channel of args) channels.add(channel);
    else if (/^s?publish$/.test(command)) channels.add(args[0]!);
    else for (const key of await keysOfCommand(nodes[0]!, [name, ...args])) keys.add(key);
  }
  return { keys, channels };
}

async function keysOfCommand(node: OwnRedis, command: readonly string[]): Promise<readonly string[]> {
  if (command.length === 1) return [];
  try {
    return (await node.command("COMMAND", "GETKEYS", ...command)) as readonly string[];
  } catch (error) {
    // A command without keys, such as PING.
    if (/no key arguments|Invalid command|Invalid arguments/.test(String(error))) return [];
    throw error;
  }
}

const MARK = "the end of the tap";

/** @returns a function that waits until all before it was shown */
async function tap(node: OwnRedis, onLine: (line: string) => void): Promise<() => Promise<void>> {
  const socket = connect(node.port, "127.0.0.1");
  let [begun, ended]: (() => void)[] = [];
  const isBegun = new Promise<void>((resolve) => (begun = resolve));
  const isEnded = new Promise<void>((resolve) => (ended = resolve));
  socket.on("error", () => undefined);
  createInterface({ input: socket }).on("line", (line) => {
    if (line === "+OK") begun!();
    else if (line.includes(MARK)) ended!();
    else onLine(line.slice(line.indexOf("] ") + 2));
  });
  socket.write("MONITOR\r\n");
  await isBegun;
  return async () => {
    await node.command("PING", MARK);
    await isEnded;
    socket.destroy();
  };
}

/** Words in quotes, as `sdscatrepr` of Redis writes them. */
const wordsOf = (line: string): readonly string[] =>
  [...line.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, word = ""]) =>
    word.replaceAll(/\\(?:x([0-9a-f]{2})|(.))/g, (_, hex: string | undefined, character: string) =>
      hex === undefined
        ? (({ n: "\n", r: "\r", t: "\t", a: "\u0007", b: "\b" } as Record<string, string>)[character] ?? character)
        : String.fromCharCode(Number.parseInt(hex, 16)),
    ),
  );

async function typesOf(redis: Redis, prefix: string): Promise<ReadonlyMap<string, string>> {
  const types = new Map<string, string>();
  for await (const key of redis.commands.scan())
    if (key.startsWith(prefix)) types.set(key, await redis.commands.type(key));
  return types;
}

describe("keys", () => {
  it.each(Object.keys(MODULES))(
    "C249: in a cluster, each key of %s is its tenant's and on the page of keys",
    async (module) => {
      const redis = await servers.open("a cluster");
      const id = `${randomPrefix()} {1}:*`;
      const prefix = `${encodeURIComponent(id).replaceAll("*", "%2A")}:`;
      const rows = (await documentedKeys()).filter((row) => row.module === module);
      const patterns = rows.map((row) => ({ ...row, matches: matcher(row.pattern, prefix.slice(0, -1)), times: 0 }));
      let types: ReadonlyMap<string, string> = new Map();
      const seen = await keysOf(await (await servers.cluster()).masters(), async () => {
        await MODULES[module]!(redis.tenant(id));
        types = await typesOf(redis, prefix);
      });
      const unknown: string[] = [];
      const judge = (name: string, isChannel: boolean): void => {
        const inside = name.startsWith(prefix) ? name.slice(prefix.length) : undefined;
        const found = patterns.filter(
          ({ type, matches }) => (type === "channel") === isChannel && matches.test(inside ?? ""),
        );
        for (const row of found) row.times += 1;
        if (inside === undefined || found.length === 0) unknown.push(`${isChannel ? "channel " : ""}${name}`);
        const type = isChannel ? undefined : types.get(name);
        if (type !== undefined && !found.some((row) => row.type === type)) unknown.push(`${name} is a ${type}`);
      };
      for (const key of seen.keys) judge(key, false);
      for (const channel of seen.channels) judge(channel, true);
      expect(unknown).toEqual([]);
      expect(patterns.filter(({ times }) => times === 0).map(({ pattern }) => pattern)).toEqual([]);
    },
  );

  it("tenants lie in different slots of a cluster, and all keys of one object in one", async () => {
    const redis = await servers.open("one server");
    for (let i = 0; i < TENANTS; i += 1) await ofOneName(redis.tenant(`tenant-${i}`));
    const slotsOf = new Map<string, Map<string, number>>();
    for await (const key of redis.commands.scan({ match: "tenant-*" })) {
      const [, tenant = "", kind = ""] = /^([^:]+):([^{]+)/.exec(key)!;
      // The tag of a session is random.
      if (kind === "session:") continue;
      const [module = kind] = kind.split(":");
      const slots = slotsOf.get(module) ?? new Map<string, number>();
      expect({ key, slot: hashSlot(key) }).toEqual({ key, slot: slots.get(tenant) ?? hashSlot(key) });
      slotsOf.set(module, slots.set(tenant, hashSlot(key)));
    }
    const spread = [...slotsOf].map(([module, slots]) => [module, new Set(slots.values()).size]);
    const modules = ["active", "leaderboard", "lock", "presence", "queue", "rate_limit", "session", "uniques"];
    expect(spread.toSorted()).toEqual(modules.map((module) => [module, TENANTS]));
  });

  it("C249: the page names every module that has keys", async () => {
    const modules = new Set((await documentedKeys()).map(({ module }) => module));
    expect([...modules].toSorted()).toEqual(Object.keys(MODULES).toSorted());
    const { exports } = JSON.parse(await readFile(new URL("../package.json", import.meta.url), "utf8")) as {
      readonly exports: Readonly<Record<string, unknown>>;
    };
    const WITHOUT_KEYS = [".", "/connection", "/health", "/inspect", "/module", "/scripts"];
    const entries = Object.keys(exports).map((entry) => (entry === "." ? entry : entry.slice(1)));
    const known = [...modules, ...WITHOUT_KEYS];
    expect(entries.filter((entry) => !known.some((one) => entry === one || entry.startsWith(`${one}/`)))).toEqual([]);
  });
});
