import { ConfigurationError, type Cache, type Duration } from "@hotset/core";
import { anything, callback, checkNames, flag, kindOf, option, readOptions, type Option } from "@hotset/core/internal";
import type { HttpCache } from "@hotset/http";
import type { RedisView } from "@hotset/redis-toolkit";
import type { Finding } from "./data/pages.ts";

/** The purpose of a request: to look at the pages, to see a stored value, or to change something. */
export type Access = "read" | "value" | "write";

/**
 * Decides about one request: `false` refuses it with status 403, a `Response` is sent in place of the answer, such as a
 * redirect to a login. A call that throws or rejects refuses.
 */
export type Authorize = (request: Request, access: Access) => boolean | Response | Promise<boolean | Response>;

/** Options of `inspector`. */
export interface InspectorOptions {
  /**
   * Called for each request. Without it, requests are answered only from the same machine, under the name `localhost`,
   * and without a proxy; and never with `NODE_ENV=production`. @default none
   */
  readonly authorize?: Authorize | undefined;
  /** Whether the pages may change something, if `authorize` agrees to `"write"`. @default false */
  readonly write?: boolean | undefined;
  /** The path under which it is mounted, as browsers see it. @default '/hotset' */
  readonly path?: string | undefined;
  /** The Redis of the toolkit: pages about the server, queues, locks and limits. @default none */
  readonly toolkit?: RedisView | undefined;
  /** HTTP caches, by a name for people. @default none */
  readonly http?: Readonly<Record<string, HttpCache>> | undefined;
  /** Followers of a database, by a name for people: a lag is a finding. @default none */
  readonly followers?: Readonly<Record<string, FollowFigures>> | undefined;
  /**
   * Called when a finding begins: something that stands out, of what this process knows. Looks every two seconds. An
   * error that it throws is ignored. @default none
   */
  readonly onFinding?: ((finding: Finding) => void) | undefined;
  /** The time that is compared with the past: from a second to an hour. @default '1m' */
  readonly window?: Duration | undefined;
  /**
   * Changes a value before it is shown, which takes a click. It gets a copy.
   *
   * @default fields whose names speak of secrets, such as `password` and `apiToken`, show `"[redacted]"`
   */
  readonly redact?: ((value: unknown, place: ValuePlace) => unknown) | undefined;
}

/** The figures of a follower, as `follow` of `@hotset/postgres-follow` gives them. */
export interface FollowFigures {
  /** Never throws. */
  stats(): {
    readonly lagBytes: number | undefined;
    readonly lagMs: number | undefined;
    readonly error: string | undefined;
  };
}

/** Where a value is stored. */
export interface ValuePlace {
  /** Name of the cache. */
  readonly cache: string;
  /** The outermost first; empty for the root. */
  readonly namespace: readonly string[];
  /** The key as the caller gave it. */
  readonly key: string;
}

/** Options with their defaults. */
export interface Settings {
  readonly authorize: Authorize | undefined;
  readonly write: boolean;
  /** Without a slash at its end. */
  readonly path: string;
  readonly toolkit: RedisView | undefined;
  readonly http: Readonly<Record<string, HttpCache>>;
  readonly followers: Readonly<Record<string, FollowFigures>>;
  readonly redact: InspectorOptions["redact"];
  readonly onFinding: InspectorOptions["onFinding"];
  readonly window: Duration | undefined;
}

const isObjectOf = (given: unknown, is: (each: unknown) => boolean): boolean =>
  typeof given === "object" && given !== null && !Array.isArray(given) && Object.values(given).every(is);

const OPTIONS = {
  authorize: callback<Authorize>(),
  write: flag(),
  path: option(
    'a path that begins with a slash and has at least one segment of letters, digits, ".", "_", "~" and "-", such as "/hotset"',
    (given) => typeof given === "string" && /^(?:\/[\w.~-]+)+\/?$/.test(given),
    "/hotset",
  ),
  toolkit: option<RedisView | undefined>(
    "createRedis(...) or a tenant of it",
    (given: Partial<RedisView> | null) => typeof given?.commands === "object",
    undefined,
    kindOf,
  ),
  http: option<NonNullable<InspectorOptions["http"]>>(
    "an object of HTTP caches by name: { pages: httpCache(...) }",
    (given) => !isHttpCache(given) && isObjectOf(given, isHttpCache),
    {},
  ),
  followers: option<NonNullable<InspectorOptions["followers"]>>(
    "an object of followers by name: { shop: follower }",
    (given) => isObjectOf(given, isFollower),
    {},
  ),
  redact: callback<NonNullable<InspectorOptions["redact"]>>(),
  onFinding: callback<NonNullable<InspectorOptions["onFinding"]>>(),
  window: anything as Option<Duration | undefined>,
} satisfies Record<keyof InspectorOptions, Option>;

/** @throws {ConfigurationError} */
export function settingsOf(options: InspectorOptions): Settings {
  // Its fields are private: as options it would say nothing.
  if (isCache(options)) throw new ConfigurationError("inspector: give several caches as a list: inspector([a, b])");
  checkNames(options, OPTIONS, { place: "inspector" });
  const { path, ...read } = readOptions(options, OPTIONS, "inspector: ", ConfigurationError);
  if (read.authorize === undefined && process.env["NODE_ENV"] === "production")
    throw new ConfigurationError(
      "inspector: authorize must be given with NODE_ENV=production: a function of the request that says whether it may see the pages",
    );
  return { ...read, path: path.replace(/\/$/, "") };
}

/** @throws {ConfigurationError} */
export function cachesOf(given: Cache | readonly Cache[]): readonly Cache[] {
  const caches = Array.isArray(given) ? (given as readonly Cache[]) : [given as Cache];
  if (caches.length === 0 || !caches.every(isCache))
    throw new ConfigurationError("inspector: caches must be a cache of createCache(...).build(), or a list of them");
  const names = caches.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined)
    throw new ConfigurationError(`inspector: two caches have the name ${JSON.stringify(twice)}; give one of them`);
  return caches;
}

const isCache = (given: unknown): boolean =>
  typeof (given as Partial<Cache> | null | undefined)?.bypass === "function" &&
  typeof (given as Partial<Cache>).stats === "function";

const isFollower = (given: unknown): boolean =>
  typeof (given as Partial<FollowFigures> | null | undefined)?.stats === "function";

const isHttpCache = (given: unknown): boolean =>
  typeof (given as Partial<HttpCache> | null | undefined)?.answer === "function";
