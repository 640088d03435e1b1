import { setTimeout as sleep } from "node:timers/promises";
/** One process with a cache in memory over a main Redis, with or without a gutter. Its source is a third Redis. */
import { gutter } from "@hotset/compose/gutter";
import { answerCalls, RespClient } from "@hotset/test-servers";
import { createCache, memory, redis, type Cache } from "hotset";

export interface Settings {
  readonly main: string;
  readonly small: string | undefined;
  readonly source: string;
  /** How long an entry lives in the gutter. */
  readonly ttl: string;
}

/** Instants are milliseconds on a clock that all processes of this machine share. */
export interface Answer {
  readonly key: string;
  readonly version: number;
  readonly startedAt: number;
  readonly tookMs: number;
}

export interface Change {
  readonly key: string;
  readonly version: number;
  readonly status: string;
  readonly endedAt: number;
}

let cache: Cache;
let source: RespClient;
const loads: string[] = [];
const answers: Answer[] = [];
const changes: Change[] = [];
const wrong: string[] = [];
/** By key, the version that this process has made last. */
const own = new Map<string, number>();
let isRunning = false;
let running: Promise<unknown> = Promise.resolve();

const now = (): number => Number(process.hrtime.bigint()) / 1e6;

async function read(key: string): Promise<void> {
  const least = own.get(key) ?? 0;
  const startedAt = now();
  const version = await cache.getOrSet(
    key,
    async () => {
      loads.push(key);
      const found = Number((await source.command("GET", key)) ?? 0);
      await sleep(30);
      return found;
    },
    { tags: [`tag of ${key}`] },
  );
  answers.push({ key, version, startedAt, tookMs: now() - startedAt });
  if (version < least) wrong.push(`${key}: ${version} after an own change to ${least}`);
}

async function change(key: string, by: "delete" | "tag"): Promise<void> {
  const version = Number(await source.command("INCR", key));
  own.set(key, Math.max(version, own.get(key) ?? 0));
  const { status } = by === "delete" ? await cache.delete(key) : await cache.invalidateTags(`tag of ${key}`);
  changes.push({ key, version, status, endedAt: now() });
}

async function loop(keys: readonly string[], everyMs: number, changed: readonly string[]): Promise<void> {
  for (let round = 0; isRunning; round += 1) {
    const work = keys.map((key) => read(key));
    if (round % 10 === 9 && changed.length !== 0)
      work.push(change(changed[Math.floor(Math.random() * changed.length)]!, round % 20 === 9 ? "delete" : "tag"));
    for (const each of await Promise.allSettled(work)) if (each.status === "rejected") wrong.push(String(each.reason));
    await sleep(everyMs);
  }
}

const handlers = {
  async open(settings: Settings) {
    source = RespClient.fromUrl(settings.source);
    const server = (url: string, label: string) =>
      redis(url).label(label).responseTimeout("1s").backoff({ base: 10, max: 200 }).build();
    const main = server(settings.main, "main");
    const backend =
      settings.small === undefined
        ? main
        : gutter(main, server(settings.small, "small"), { ttl: settings.ttl as "1s", onSmallError: () => undefined });
    cache = createCache({ name: "shop", logger: SILENT }).tier(memory()).tier(backend).defaults({ ttl: "5m" }).build();
    await cache.connect();
  },
  /** Reads all keys again and again, and changes one of `changed` now and then. */
  start(keys: readonly string[], everyMs: number, changed: readonly string[]) {
    isRunning = true;
    running = loop(keys, everyMs, changed);
  },
  async stop() {
    isRunning = false;
    await running;
  },
  read: async (key: string) => {
    await read(key);
    return answers.at(-1)!.version;
  },
  change,
  forget() {
    loads.length = answers.length = changes.length = 0;
  },
  seen: () => ({
    loads,
    answers,
    changes,
    wrong,
    pending: cache.stats().pending,
    states: cache.stats().tiers.map(({ state }) => state),
  }),
  close: () => cache.close(),
};

const SILENT = { error: () => undefined, warn: () => undefined, info: () => undefined };

export type Handlers = typeof handlers;
answerCalls(handlers);
