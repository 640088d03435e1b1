// Names, ids and bytes that an attacker chooses: each call of each module answers rightly, or rejects with a code.

import type { CacheError } from "@hotset/core";
import type { RedisView } from "@hotset/redis-toolkit";
import { uniques } from "@hotset/redis-toolkit/counters";
import { leaderboard } from "@hotset/redis-toolkit/leaderboard";
import { locks } from "@hotset/redis-toolkit/lock";
import { presence } from "@hotset/redis-toolkit/presence";
import { pubsub } from "@hotset/redis-toolkit/pubsub";
import { queue } from "@hotset/redis-toolkit/queue";
import { expressRateLimitStore, fixedWindow, rateLimit, slidingLog } from "@hotset/redis-toolkit/rate-limit";
import { sessions } from "@hotset/redis-toolkit/sessions";
import { streams } from "@hotset/redis-toolkit/streams";
import { randomPrefix } from "@hotset/test-servers";
import { describe, expect, it } from "vitest";
import { SUBJECTS, outcomeOf, type Subject } from "./faults/subjects.ts";
import { startServers } from "./servers.ts";

const servers = startServers();

const tenants: string[] = [];
function newTenant(): string {
  const tenant = randomPrefix().replaceAll(/\W/g, "_");
  tenants.push(tenant);
  return tenant;
}

/** What two names must not share: it gives back what was put there under the same name, and nothing else. */
type Place = (redis: RedisView, name: string) => { put(): Promise<unknown>; found(): Promise<unknown> };

const PLACES: Readonly<Record<string, Place>> = {
  "a key": ({ commands }, name) => ({ put: () => commands.set(name, name), found: () => commands.get(name) }),
  "a field": ({ commands }, name) => ({
    put: () => commands.hset("hash", { [name]: name }),
    found: () => commands.hget("hash", name),
  }),
  "a tenant": (redis, name) => {
    const own = (): RedisView["commands"] => redis.tenant(name).commands;
    return { put: async () => own().set("k", name), found: async () => own().get("k") };
  },
  "a lock": (redis, name) => ({
    put: () => locks(redis).acquire(name, { ttl: "5m" }),
    found: () =>
      locks(redis)
        .acquire(name, { ttl: "5m" })
        .then(
          () => undefined,
          () => name,
        ),
  }),
  "a limit": (redis, name) => {
    const limit = rateLimit(redis, { name: "api", rules: [fixedWindow({ limit: 9, window: "1h" })] });
    return {
      put: () => limit.consume(name),
      found: async () => ((await limit.peek(name)).remaining === 8 ? name : undefined),
    };
  },
  "a limit of a list": (redis, name) => {
    const limit = rateLimit(redis, { name, rules: [slidingLog({ limit: 9, window: "1h" })] });
    return {
      put: () => limit.consume("ada"),
      found: async () => ((await limit.peek("ada")).remaining === 8 ? name : undefined),
    };
  },
  "a key of express-rate-limit": (redis, name) => {
    const store = expressRateLimitStore(redis);
    store.init({ windowMs: 3_600_000 });
    return {
      put: () => store.increment(name),
      found: async () => ((await store.get(name))?.totalHits === 1 ? name : undefined),
    };
  },
  "a user of sessions": (redis, name) => ({
    put: () => sessions(redis).create({ userId: name, data: { [name]: name } }),
    found: async () => {
      const [session, ...others] = await sessions<Record<string, string>>(redis).list(name);
      return others.length === 0 && session?.userId === name ? session.data[name] : undefined;
    },
  }),
  "a channel": (redis, name) => {
    const channel = pubsub(redis).channel<string>(name);
    return {
      put: async () => (await channel.subscribe()).close(),
      found: async () => {
        const messages = await channel.subscribe();
        await channel.publish(name);
        for await (const event of messages) if (event.kind === "message") return event.message;
        return undefined;
      },
    };
  },
  "a queue, and its job": (redis, name) => {
    const jobs = queue<string>(redis, name);
    return {
      put: () => jobs.add(name, { dedupId: name }),
      found: async () => (await jobs.list("waiting")).map(({ data }) => data)[0],
    };
  },
  "a stream": (redis, name) => {
    const stream = streams(redis).stream(name);
    return {
      put: () => stream.append({ [name]: name }),
      found: async () => (await stream.range()).map(({ fields }) => fields[name])[0],
    };
  },
  "a board, and its member": (redis, name) => {
    const board = leaderboard(redis, name);
    return { put: () => board.set(name, 1), found: async () => (await board.top()).map(({ member }) => member)[0] };
  },
  "a presence, and its member": (redis, name) => {
    const users = presence(redis, name);
    return { put: () => users.seen(name), found: async () => (await users.list())[0] };
  },
  "unique members": (redis, name) => ({
    put: () => uniques(redis, name).add(name),
    found: async () => ((await uniques(redis, name).count()) === 1 ? name : undefined),
  }),
};

/** Pairs that a program which joins texts without care would take for one name, or for a command. */
const NAMES: readonly string[] = [
  ...[
    "",
    " ",
    "\0",
    "\n",
    "a\r\nFLUSHALL\r\n",
    "a",
    "a:",
    ":a",
    "a:b",
    "a%3Ab",
    "a%",
    "%00",
    "..",
    "../a",
    "*",
    "?",
    "[a]",
  ],
  ...["{", "}", "{}", "{a}", "{a}b", "a}b", "{a", "}a{", "__proto__", "constructor", "toString", "hasOwnProperty"],
  ...["0", "-1", "NaN", "1e9", "+inf", "(1", "$", ">", "~", "~of", "until", "scores", "all", "null", "undefined"],
  ...[
    "é",
    "e\u0301",
    "\u202ea",
    "\ufeffa",
    "😀",
    "\ud800",
    "' or 1",
    "]] redis.call('FLUSHALL') --",
    '"',
    "\\",
    "\\x00",
  ],
  ...["n".repeat(512), "n".repeat(513), "n".repeat(100_000), "{".repeat(300)],
];

describe.each(Object.entries(PLACES))("%s", (_what, placeOf) => {
  it("of a name that an attacker chooses is its own, or is refused before anything is sent", async () => {
    const redis = (await servers.open("one server")).tenant(newTenant());
    const taken: string[] = [];
    for (const name of NAMES) {
      const put = async (): Promise<unknown> => placeOf(redis, name).put();
      const error = await put().then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      if (error === undefined) taken.push(name);
      else expect([name, (error as CacheError).code]).toEqual([name, expect.stringMatching(REFUSED)]);
    }
    const found: unknown[] = [];
    for (const name of taken) found.push(await placeOf(redis, name).found());
    expect(found).toEqual(taken);
    expect(taken.length).toBeGreaterThan(30);
    // Nothing of it is outside a tenant.
    for await (const key of (await servers.open("one server")).commands.scan())
      expect(tenants).toContain(key.slice(0, key.indexOf(":")));
  });
});

/** A session keeps no field `__proto__`. */
const REFUSED = /^(?:INVALID_ARGUMENT|ENCODE_FAILED)$/;

/** Values of every type, as another program, or an attacker, may leave them where a module keeps its own. */
const GARBAGE: Readonly<
  Record<string, (send: (command: string, ...args: readonly (string | Buffer)[]) => Promise<unknown>) => unknown>
> = {
  bytes: (send) => send("SET", Buffer.of(0xff, 0, 0xc1, 1, 0x0a)),
  "an empty text": (send) => send("SET", ""),
  "text of a number": (send) => send("SET", "-9223372036854775808"),
  JSON: (send) => send("SET", '{"__proto__":{"x":1},"id":null'),
  "a hash": (send) => send("HSET", "d", Buffer.of(0xff), "s", "NaN", "v", "1e400", "__proto__", "x"),
  "a list": (send) => send("RPUSH", "", Buffer.of(0xff)),
  "a set": (send) => send("SADD", "a"),
  "a sorted set": (send) => send("ZADD", "inf", Buffer.of(0xff, 0), "-inf", "a", "1.5", ""),
  "a stream": (send) => send("XADD", "18446744073709551615-18446744073709551615", "", ""),
};

const LIMITS: Subject = {
  name: "limits",
  over: (redis, name) => {
    const limit = rateLimit(redis, { name, rules: [fixedWindow({ limit: 9, window: "1h" })] });
    return { write: () => limit.consume("ada"), read: () => limit.peek("ada"), effects: () => Promise.resolve(0) };
  },
};

describe.each([...SUBJECTS, LIMITS])("$name", (subject) => {
  it.each(Object.entries(GARBAGE))(
    "over %s in place of each of its keys answers, or rejects with a code",
    async (_what, leave) => {
      const redis = await servers.open("one server");
      const tenant = newTenant();
      const work = subject.over(redis.tenant(tenant), "n");
      await work.write();
      await work.read();
      const keys: Buffer[] = [];
      for await (const key of redis.bytes.scan({ match: `*${tenant}*` })) keys.push(key);
      for (const key of keys) {
        const before = await redis.bytes.dump(key);
        await redis.commands.del(key);
        await leave((command, ...args) => redis.commands.send([command, key, ...args], { key }));
        for (const call of [() => work.read(), () => work.write(), () => work.read()])
          expect([String(key), await outcomeOf(call())]).toEqual([
            String(key),
            expect.stringMatching(/^(?:done|[A-Z_]+)$/),
          ]);
        await redis.commands.del(key);
        await redis.bytes.restore(key, 0, before);
      }
      // As before, once what was left is gone.
      expect(await outcomeOf(work.write())).toBe("done");
    },
  );
});
