import assert from "node:assert/strict";
import { createClient } from "@redis/client";
import { createCache, redis, type Cache, type RedisBackendBuilder } from "hotset";

/** Redis as a program that may write to it sees it, and a cache over it with default options. */
export interface Attack {
  readonly redis: Redis;
  readonly urls: Urls;
  /** A cache named `shop`, with default options but for `change`, and the reports of bytes that it could not read. */
  open(change?: (builder: RedisBackendBuilder) => RedisBackendBuilder): Victim;
}

export interface Victim {
  readonly cache: Cache;
  readonly refusals: readonly Error[];
  /** Calls without an answer of Redis, as on a busy machine: no refusals. */
  readonly failures: readonly Error[];
}

export type Redis = Awaited<ReturnType<typeof connect>>;

/** Servers that are there for attacks. */
export interface Urls {
  readonly single: string;
  /** With the password `hunter2secret`, and without the command HELLO. */
  readonly withoutHello: string;
  readonly cluster: readonly string[];
}

const connect = (url: string) => createClient({ url, RESP: 2 }).connect();

/** Runs one attack in this process. @throws if it succeeds. */
export async function attacked(attack: (on: Attack) => Promise<void>, urls: Urls): Promise<void> {
  const client = await connect(urls.single);
  const victims: Cache[] = [];
  try {
    await attack({
      redis: client,
      urls,
      open(change = (builder) => builder) {
        const cache = createCache({ name: "shop" })
          .tier(change(redis(urls.single)).build())
          .defaults({ ttl: "1m" })
          .build();
        victims.push(cache);
        const refusals: Error[] = [];
        cache.on("decode:error", ({ error }) => refusals.push(error));
        const failures: Error[] = [];
        cache.on("backend:error", ({ error }) => failures.push(error));
        return { cache, refusals, failures };
      },
    });
  } finally {
    await Promise.all(victims.map((cache) => cache.close({ timeout: 0 })));
    client.destroy();
  }
}

/** Puts `data` into Redis as an entry of `shop`. @param meta after the format. */
export async function forge(
  client: Redis,
  key: string,
  [format, data, rest]: readonly [format: string, data: Buffer | string, rest?: object],
): Promise<void> {
  const meta = JSON.stringify([format, 60_000, 0, 0, 0, rest ?? {}]);
  const name = `hotset:shop::${key}`;
  await client.hSet(name, { d: Buffer.from(data), s: `0 d3csFcD_LEOr01lS;${meta}` });
  await client.pExpire(name, 60_000);
}

/** @throws unless `read` is answered by nothing, with one report, within `maxMs` of processor time. */
export async function isMiss({ cache, refusals, failures }: Victim, key: string, maxMs = 1_500): Promise<void> {
  const before = refusals.length;
  const spentMs = await processorTime(async () => assert.equal(await cache.get(key), undefined));
  assert.equal(refusals.length, before + 1, `it is not reported, but ${String(failures)}`);
  assert(spentMs <= maxMs, `it took ${spentMs} ms of processor time`);
}

export async function processorTime(work: () => unknown): Promise<number> {
  const startedAt = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(startedAt);
  return (user + system) / 1_000;
}
