// What programs call, and the wrappers that they write, with the types that come back. `npm run public-types` compiles
// it against the built packages without `strict` and with `skipLibCheck: false`, the tests of importers in each
// TypeScript. Without `strict`, `string | undefined` is `string`: an assertion with it holds in both.

import { graphqlCache } from "@hotset/graphql";
import { keyvStore } from "@hotset/keyv";
import { createRedis, redisAddress, type RedisOptions } from "@hotset/redis-toolkit";
import { expressRateLimit, rateLimit } from "@hotset/redis-toolkit/rate-limit";
import { createCache, memory, redis, type Cache, type Namespace, type RedisBackend, type SetOptions } from "hotset";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function same<A, B>(yes: Same<A, B>): void;
type Reply<F> = F extends (...args: never) => Promise<infer R> ? R : never;

interface User {
  readonly name: string;
}
declare const load: () => Promise<User>;

const toolkit = createRedis();
type Commands = typeof toolkit.commands;
type Bytes = typeof toolkit.bytes;

export function replies(): void {
  same<Reply<Commands["get"]>, string | undefined>(true);
  same<Reply<Commands["set"]>, "set" | "unchanged">(true);
  same<Reply<Commands["hGet"]>, string | undefined>(true);
  same<Reply<Commands["hGetAll"]>, Map<string, string>>(true);
  same<Reply<Commands["hKeys"]>, string[]>(true);
  same<Reply<Commands["hIncrBy"]>, number>(true);
  same<Reply<Commands["lRange"]>, string[]>(true);
  same<Reply<Commands["lPush"]>, number>(true);
  same<Reply<Commands["lPop"]>, string | undefined>(true);
  same<Reply<Commands["sAdd"]>, number>(true);
  same<Reply<Commands["sMembers"]>, string[]>(true);
  same<Reply<Commands["sIsMember"]>, number>(true);
  same<Reply<Commands["zAdd"]>, number>(true);
  same<Reply<Commands["zCard"]>, number>(true);
  same<Reply<Commands["zCount"]>, number>(true);
  same<Reply<Commands["zRange"]>, string[]>(true);
  same<Reply<Commands["zRank"]>, number | undefined>(true);
  same<Reply<Commands["zScore"]>, number | undefined>(true);
  same<Reply<Commands["ping"]>, string>(true);
  same<Reply<Commands["dbSize"]>, number>(true);
  same<Reply<Bytes["lRange"]>, Buffer[]>(true);
  same<Reply<Bytes["zRange"]>, Buffer[]>(true);
  same<Reply<Bytes["sMembers"]>, Buffer[]>(true);
}

export async function several(): Promise<void> {
  const [text, count] = await toolkit.pipeline((all) => [all.get("a"), all.incr("b")]);
  if (text.ok) same<typeof text.value, string | undefined>(true);
  if (count.ok) same<typeof count.value, number>(true);
  const none = await toolkit.pipeline(() => []);
  same<(typeof none)["length"], 0>(true);
}

const address = redisAddress({ url: "redis://localhost" });
let shared = redis(address.connection);
if (typeof address.username === "string") shared = shared.username(address.username);
export const cache: Cache = createCache({ name: "shop" }).tier(memory()).tier(shared.build()).build();
export const backendOf = (options: RedisOptions): RedisBackend => redis(redisAddress(options).connection).build();

// ---- wrappers

export function get<T>(key: string): Promise<T | undefined> {
  return cache.get<T>(key);
}
export function set<T>(key: string, value: T, options?: SetOptions): Promise<unknown> {
  return cache.set<T>(key, value, options);
}
export function setStored<T extends {} | null>(key: string, value: T): Promise<unknown> {
  return cache.set(key, value);
}
export function setMany<T>(entries: [string, T][]): Promise<unknown> {
  return cache.setMany<T>(entries);
}
export function setAll<T>(entries: Map<string, T>): Promise<unknown> {
  return cache.setMany<T>(entries);
}
export function remember<T>(key: string, compute: () => Promise<T>, seconds: number): Promise<T> {
  return cache.getOrSet<T>(key, compute, { ttl: seconds * 1_000 });
}
type Find<T> = (ids: readonly string[]) => Promise<Map<string, T>>;
export function rows<T>(ids: string[], find: Find<T | null>): Promise<Map<string, T | null>> {
  return cache.getOrSetMany<string, T | null>(ids, (id) => id, find);
}

/** A cache or a part of it. */
async function nameOf(of: Cache | Namespace, id: string): Promise<string> {
  await of.set("last", id);
  const found = await of.get<User>(id);
  return found?.name ?? (await of.getOrSet(id, load)).name;
}
export const names = [nameOf(cache, "1"), nameOf(cache.namespace("users"), "1")];
export function typed<V>(space: Namespace<V>, id: string, compute: () => Promise<V>): Promise<V> {
  return space.getOrSet<V>(id, compute);
}
export const user = typed(cache.namespace<User>("users"), "1", load);

export class Repository<T extends object> {
  readonly #rows: Namespace<T>;

  constructor(of: Cache, name: string) {
    this.#rows = of.namespace<T>(name);
  }

  find(id: string, compute: () => Promise<T>): Promise<T> {
    return this.#rows.getOrSet<T>(id, compute);
  }

  save(id: string, row: T): Promise<unknown> {
    return this.#rows.set(id, row);
  }
}

export function cached<A extends unknown[], R>(name: string, compute: (...args: A) => Promise<R>) {
  return (...args: A): Promise<R> => cache.getOrSet<R>(`${name}:${args.join()}`, () => compute(...args));
}

export const limited = expressRateLimit(rateLimit(toolkit, { name: "api" }));
export const adapters = [keyvStore(cache), graphqlCache(cache)];
