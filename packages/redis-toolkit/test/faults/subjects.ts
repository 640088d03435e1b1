import { CacheError } from "@hotset/core";
import type { Redis, RedisView } from "@hotset/redis-toolkit";
import { activeUsers } from "@hotset/redis-toolkit/counters";
import { leaderboard } from "@hotset/redis-toolkit/leaderboard";
import { locks } from "@hotset/redis-toolkit/lock";
import { presence } from "@hotset/redis-toolkit/presence";
import { pubsub } from "@hotset/redis-toolkit/pubsub";
import { queue } from "@hotset/redis-toolkit/queue";
import { defineScript } from "@hotset/redis-toolkit/scripts";
import { sessions } from "@hotset/redis-toolkit/sessions";
import { streams } from "@hotset/redis-toolkit/streams";
import { randomPrefix } from "@hotset/test-servers";

/** One thing that a module does, again and again, on an object of its own. */
export interface Subject {
  readonly name: string;
  /** The outcome of a write that Redis refuses with this code: `done` where it refuses none. @default the code */
  readonly refusedAs?: (code: string) => string;
  over(redis: RedisView, name: string): Work;
}

export interface Work {
  write(): Promise<unknown>;
  read(): Promise<unknown>;
  /** How many writes Redis carried out, and has. */
  effects(): Promise<number>;
}

const add = defineScript({
  keys: 1,
  args: ["integer"],
  reply: "integer",
  lua: "return redis.call('INCRBY', KEYS[1], ARGV[1])",
});

/** Every module. Rate limits answer by their policy instead of failing, so they have tests of their own. */
export const SUBJECTS: readonly Subject[] = [
  {
    name: "commands",
    over: ({ commands }, name) => ({
      write: () => commands.incr(name),
      read: () => commands.get(name),
      effects: async () => (await commands.getNumber(name)) ?? 0,
    }),
  },
  {
    name: "commands that are scripts",
    over: ({ commands }, name) => ({
      write: () => commands.hincrMany(name, { n: 1 }, { ttl: "1h" }),
      read: () => commands.hgetAll(name),
      effects: async () => Number((await commands.hget(name, "n")) ?? 0),
    }),
  },
  {
    name: "transactions",
    // Its cause has the code.
    refusedAs: () => "ABORTED",
    over: (redis, name) => ({
      write: async () => {
        const outcome = await redis.transaction({}, ({ queue }) => [queue.incr(name)]);
        if (outcome.status !== "committed") throw new Error(outcome.status);
        if (!outcome.results[0].ok) throw outcome.results[0].error;
      },
      read: () => redis.commands.get(name),
      effects: async () => (await redis.commands.getNumber(name)) ?? 0,
    }),
  },
  {
    name: "scripts",
    over: (redis, name) => ({
      write: () => add(redis, [name], [1]),
      read: () => redis.commands.get(name),
      effects: async () => (await redis.commands.getNumber(name)) ?? 0,
    }),
  },
  {
    name: "streams",
    over: (redis, name) => {
      const stream = streams(redis).stream(name);
      return { write: () => stream.append({ n: 1 }), read: () => stream.range(), effects: () => stream.len() };
    },
  },
  {
    name: "pub/sub",
    refusedAs: () => "done",
    over: (redis, name) => {
      const channel = pubsub(redis).channel(name);
      let published = 0;
      return {
        write: async () => {
          await channel.publish("message");
          published += 1;
        },
        read: async () => (await channel.subscribe()).close(),
        effects: () => Promise.resolve(published),
      };
    },
  },
  {
    name: "queues",
    over: (redis, name) => {
      const jobs = queue(redis, name);
      return {
        write: () => jobs.add("job"),
        read: () => jobs.counts(),
        effects: async () => (await jobs.counts()).waiting,
      };
    },
  },
  {
    name: "locks",
    over: (redis, name) => {
      const tenant = redis.tenant(name);
      let taken = 0;
      return {
        write: () => locks(tenant).acquire(`${name} ${(taken += 1)}`, { ttl: "5m" }),
        // Only the taking of a lock can be asked.
        read: () => tenant.commands.exists(`lock:{${name}:${name} 1}`),
        async effects() {
          let count = 0;
          for await (const _key of tenant.commands.scan({ match: "lock:{*" })) count += 1;
          return count;
        },
      };
    },
  },
  {
    name: "permits",
    over: (redis, name) => ({
      write: () => locks(redis).semaphore(name, 1_000_000).acquire({ ttl: "1h" }),
      read: () => redis.commands.zCard(`lock:permits:{${name}}`),
      effects: () => redis.commands.zCard(`lock:permits:{${name}}`),
    }),
  },
  {
    name: "sessions",
    over: (redis) => {
      const auth = sessions(redis);
      let created: ReturnType<typeof auth.create> | undefined;
      const read = async (): ReturnType<typeof auth.read> => auth.read((await created)?.id ?? "none");
      return {
        write: async () => {
          if (created === undefined) return (created = auth.create());
          return auth.update((await created).id, { theme: "dark" });
        },
        read,
        effects: async () => (await read())?.version ?? 0,
      };
    },
  },
  {
    name: "leaderboards",
    over: (redis, name) => {
      const board = leaderboard(redis, name, { window: "monthly", ties: "first-reached", ranks: "dense" });
      return {
        write: () => board.incr("ada"),
        read: () => board.top(),
        effects: async () => (await board.rank("ada"))?.score ?? 0,
      };
    },
  },
  {
    name: "presence",
    over: (redis, name) => {
      const users = presence(redis, name, { ttl: "1h" });
      let seen = 0;
      return { write: () => users.seen(`user ${(seen += 1)}`), read: () => users.list(), effects: () => users.count() };
    },
  },
  {
    name: "active users",
    over: (redis, name) => {
      const users = activeUsers(redis, name, { window: "monthly" });
      let marked = 0;
      return { write: () => users.mark((marked += 1)), read: () => users.isActive(1), effects: () => users.count() };
    },
  },
];

export interface Tried extends Work {
  readonly subject: Subject;
}

export const subjectsOver = (redis: Redis): readonly Tried[] =>
  SUBJECTS.map((subject) => ({ subject, ...subject.over(redis, `${randomPrefix()} ${subject.name}`) }));

export const named = <T>(tried: readonly Tried[], value: (one: Tried) => T): Record<string, T> =>
  Object.fromEntries(tried.map((one) => [one.subject.name, value(one)]));

/** By subject. */
export async function ofEach<T>(tried: readonly Tried[], call: (one: Tried) => Promise<T>): Promise<Record<string, T>> {
  const results = await Promise.all(tried.map(call));
  return Object.fromEntries(tried.map(({ subject }, i) => [subject.name, results[i]!]));
}

/** `done`, or the code of the error; an error of another class is shown whole. */
export const outcomeOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "done",
    (error: unknown) => (error instanceof CacheError ? error.code : String(error)),
  );
