import { InvalidArgumentError, type Cache } from "@hotset/core";
import { checkNames, describe, flag, readOption } from "@hotset/core/internal";
import type { Redis } from "@hotset/redis-toolkit";
import { connectCaches } from "./cache-instruments.ts";
import { connectFollowers, type FollowFigures } from "./follow-instruments.ts";
import { connectHttp, type HttpFigures } from "./http-instruments.ts";
import type { Exporter } from "./instrument.ts";
import { connectModules, type Modules } from "./module-instruments.ts";
import { connectProcess } from "./process-instruments.ts";
import { connectRedis } from "./redis-instruments.ts";

/** What is observed: options that all exporters have. */
export interface Observed {
  /** Their labels are their names. @default none */
  readonly caches?: readonly Cache[] | undefined;
  /** `createRedis(...)`; their labels are their `clientName`. @default none */
  readonly redis?: readonly Redis[] | undefined;
  /** By the label that each gets; asked at each collection. @default none */
  readonly queues?: Modules["queues"] | undefined;
  /** By the label that each gets. @default none */
  readonly consumers?: Modules["consumers"] | undefined;
  /** HTTP caches, by the label that each gets. @default none */
  readonly http?: Readonly<Record<string, HttpFigures>> | undefined;
  /** Followers of a database, by the label that each gets. @default none */
  readonly followers?: Readonly<Record<string, FollowFigures>> | undefined;
  /**
   * Calls and loads of each namespace, as the label `namespace`: the first 1,000 of a cache. Not where a namespace is
   * that of a tenant or a user: labels are kept for long. @default false
   */
  readonly namespaces?: boolean | undefined;
  /** Durations of calls of a backend, as a histogram: some two microseconds for each. @default false */
  readonly backendCalls?: boolean | undefined;
  /** Delays of the event loop, garbage collection, heap and resident memory of this process. @default false */
  readonly process?: boolean | undefined;
}

const OBSERVED = [
  "caches",
  "redis",
  "queues",
  "consumers",
  "http",
  "followers",
  "namespaces",
  "backendCalls",
  "process",
];

/**
 * Connects what is observed to an exporter.
 *
 * @param known the options of the exporter next to those of {@link Observed}.
 * @returns a function that ends it, and has the exporter remove what it has made. A second call does nothing.
 * @throws {ConfigurationError} for an option that neither knows.
 * @throws {InvalidArgumentError} where nothing is to be observed, for what is not a list of caches or of clients, and
 *   for two caches or two clients of one name. Nothing is connected after an error, and the exporter has removed its
 *   own.
 */
export function connect(exporter: Exporter, options: Observed, known: readonly string[] = []): () => void {
  const all = [...known, ...OBSERVED];
  checkNames(options ?? null, all, { place: "observe" });
  const {
    caches = [],
    redis = [],
    queues = {},
    consumers = {},
    http = {},
    followers = {},
    namespaces = false,
    backendCalls = false,
    process = false,
  } = options;
  for (const [name, given] of Object.entries({ namespaces, backendCalls, process }))
    readOption(given, `observe: ${name}`, FLAG);
  expectSomething(options);
  expectEach("queues", queues, "counts");
  expectEach("consumers", consumers, "status");
  expectEach("http", http, "stats");
  expectEach("followers", followers, "stats");
  expectList("caches", caches, { members: ["getOrSet", "name"], maker: "createCache" });
  expectList("redis", redis, { members: ["commands", "clientName"], maker: "createRedis" });
  expectDifferent(
    "caches",
    caches.map(({ name }) => name),
  );
  expectDifferent(
    "clients",
    redis.map(({ clientName }) => clientName),
  );
  const ends = [() => exporter.remove()];
  const end = (): void => ends.splice(0).forEach((each) => each());
  try {
    connectModules(exporter, { queues, consumers });
    connectHttp(exporter, http);
    connectFollowers(exporter, followers);
    if (caches.length > 0)
      connectCaches(exporter, caches, { isCallTimed: backendCalls, areNamespacesCounted: namespaces, ends });
    if (redis.length > 0) ends.push(connectRedis(exporter, redis));
    if (process) ends.push(connectProcess(exporter));
  } catch (error) {
    end();
    throw error;
  }
  return end;
}

const FLAG = flag();

/** Lists may be empty: they may be made of what a program has. @throws {InvalidArgumentError} */
function expectSomething(options: Observed): void {
  const { caches, redis, queues, consumers, http, followers, process } = options;
  const isNothing = [caches, redis, queues, consumers, http, followers].every((each) => each === undefined);
  if (isNothing && process !== true)
    throw new InvalidArgumentError(
      "observe: it observes nothing without caches, redis, queues, consumers, http, followers or process: true",
    );
}

/** For exporters too, before they read their own options. @throws {InvalidArgumentError} */
export function checkObject(option: string, given: unknown): void {
  if (typeof given !== "object" || given === null || Array.isArray(given))
    throw new InvalidArgumentError(`observe: ${option} must be an object, got ${describe(given)}`);
}

/** @param method that each of them has */
function expectEach(option: "queues" | "consumers" | "http" | "followers", given: object, method: string): void {
  checkObject(option, given);
  for (const [label, each] of Object.entries(given) as readonly [string, Record<string, unknown> | null][])
    if (typeof each?.[method] !== "function")
      throw new InvalidArgumentError(
        `observe: ${option} must be an object of ${option === "http" ? "HTTP caches" : option} by their labels, got ${describe(each)} for ${JSON.stringify(label)}`,
      );
}

/** @param expected members that namespaces and tenants do not have, and the function that makes them. */
function expectList(
  option: string,
  given: readonly unknown[],
  { members, maker }: { readonly members: readonly string[]; readonly maker: string },
): void {
  const isOne = (each: unknown): boolean =>
    typeof each === "object" && each !== null && members.every((member) => member in each);
  // Not `every`, which leaves out holes.
  if (Array.isArray(given) && given.findIndex((each) => !isOne(each)) < 0) return;
  throw new InvalidArgumentError(
    `observe: ${option} must be a list of what ${maker}() gives, such as [${option === "redis" ? "shop" : "cache"}]` +
      (isOne(given) ? ", got one without a list" : ""),
  );
}

/** Figures of two under one label would be mixed. */
function expectDifferent(what: string, names: readonly string[]): void {
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined)
    throw new InvalidArgumentError(
      `observe: two ${what} are named ${JSON.stringify(twice)}: their figures would be mixed`,
    );
}
