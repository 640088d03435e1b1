import type { Connection, RedisBackend } from "@hotset/redis";
import { redisAddress } from "@hotset/redis-toolkit";
import { createCache, redis as backendOver, type Cache, type Namespace } from "hotset";
import type { Arguments, OptionSpec } from "./arguments.ts";
import type { Session } from "./command.ts";
import { SILENT } from "./connect.ts";

/** Options that say which cache: as its service makes it. */
export const CACHE_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  prefix: { value: "<prefix>", text: "keyPrefix of its backend; default: hotset" },
  "cache-version": { value: "<version>", text: "version of the cache; default: none" },
  namespace: { value: "<name>", text: "a namespace below the cache; may be given several times, from the outside in" },
  hashed: { text: 'its backend has keyFormat("hashed")' },
  pubsub: { text: 'its backend has coherence("pubsub"): changes are published, too' },
};

/** A cache of a service, seen from outside: without a local tier, and without notices. */
export interface SeenCache {
  readonly cache: Cache;
  readonly backend: RedisBackend;
  /** The namespace that was asked about, or the cache itself. */
  readonly place: Namespace;
  /** Key of an entry, as the cache gives it to its backend. */
  entryKey(key: string): string;
  /** Key of the version of a tag at this place, likewise. */
  tagKey(tag: string): string;
}

/**
 * Over a connection of its own, to the server of the session. Close its `cache`.
 *
 * @param layout of the entries that it reads. Versions of tags are the same in all.
 */
function seenCache(session: Session, name: string, layout: "full" | "string"): SeenCache {
  const { arguments: given } = session;
  const backend = backendOf(session, layout);
  const version = given.text("cache-version");
  const cache = cacheOver(backend, name, given);
  const path = given.texts("namespace");
  let place: Namespace = cache;
  for (const below of path) place = place.namespace(below);
  // docs/reference/redis-layout.md, "Keys".
  const root = segmentsOf(name, version);
  const below = path.map((each) => `:${segment(each)}`).join("");
  return {
    cache,
    backend,
    place,
    entryKey: (key) => `${root}${below}::${key}`,
    tagKey: (tag) => `{~${root}}${below}::${tag}`,
  };
}

/** A cache of a service, likewise. The caller closes it. */
export const openCache = (session: Session, name: string, layout: "full" | "string"): Cache =>
  cacheOver(backendOf(session, layout), name, session.arguments);

function cacheOver(backend: RedisBackend, name: string, given: Arguments): Cache {
  const version = given.text("cache-version");
  // A refusal is the sentence at the end of the run, and not a warning of the process as well.
  return createCache({ name, logger: SILENT, ...(version === undefined ? undefined : { version }) })
    .tier(backend)
    .build();
}

/** The beginning of the keys of its entries, in all namespaces. docs/reference/redis-layout.md, "Keys" */
export function rootOf(given: Arguments, name: string): string {
  const prefix = given.text("prefix") ?? "hotset";
  return (prefix === "" ? "" : `${prefix}:`) + segmentsOf(name, given.text("cache-version"));
}

const segmentsOf = (name: string, version: string | undefined): string =>
  segment(name) + (version === undefined ? "" : `@${segment(version)}`);

/** Connects to it first, and closes it at last. @throws the error of connecting */
export async function within<T>(
  session: Session,
  name: string,
  layout: "full" | "string",
  use: (seen: SeenCache) => Promise<T>,
): Promise<T> {
  const seen = seenCache(session, name, layout);
  try {
    await seen.cache.connect();
    return await use(seen);
  } finally {
    await seen.cache.close();
  }
}

/** @param prefix @default that of its options */
export function backendOf(
  { settings, timeoutMs, arguments: given }: Session,
  layout: "full" | "string",
  prefix: string = given.text("prefix") ?? "hotset",
  connection: Connection = redisAddress(settings).connection as Connection,
): RedisBackend {
  const { username, password } = redisAddress(settings);
  let builder = backendOver(connection)
    .keyPrefix(prefix)
    .keyFormat(isHashed(given) ? "hashed" : "readable")
    .layout(layout)
    .coherence(given.flag("pubsub") ? "pubsub" : "none")
    .responseTimeout(timeoutMs)
    .connectTimeout(timeoutMs)
    .protocol(settings.protocol ?? 3)
    .clientName("hotset-cli");
  if (username !== undefined) builder = builder.username(username);
  if (password !== undefined) builder = builder.password(password);
  return builder.build();
}

const isHashed = (given: Arguments): boolean => given.flag("hashed");

// oxlint-disable-next-line no-control-regex -- names may hold them, and keys may not
const SPECIAL = /[\u0000-\u001F%:@#{}~]/g;
const segment = (name: string): string =>
  name.replace(SPECIAL, (found) => `%${found.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);
