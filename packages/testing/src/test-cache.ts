import {
  type Backend,
  type Cache,
  type CacheBuilder,
  type CacheLogger,
  type CacheOptions,
  createCache,
  type LocalTier,
  type Policy,
} from "@hotset/core";
import { mapTier } from "./map-tier.ts";
import { scriptedBackend } from "./scripted-backend.ts";
import { TestClock } from "./test-clock.ts";

/** The options of {@link createCache} and those of `defaults`, in one object. */
export interface TestCacheOptions extends Omit<CacheOptions, "name">, Omit<Policy, "verify"> {
  /** @default 'test' */
  readonly name?: string | undefined;
  /** The local tier: `true` for a {@link mapTier}, `false` for none, or your own. @default true */
  readonly local?: boolean | LocalTier | undefined;
  /** The backend: `true` for a {@link scriptedBackend} on the clock, `false` for none, or your own. @default false */
  readonly backend?: boolean | Backend | undefined;
}

/**
 * A cache for a test: it opens no connection, and time stands still unless the test moves `clock` (by default a new
 * {@link TestClock}). Without a `logger` it prints nothing: the failures of a test are wanted.
 *
 *     const clock = new TestClock();
 *     const cache = createTestCache({ clock, ttl: 100, staleIfError: 1_000 });
 *
 * @throws {ConfigurationError} as `createCache` and `build` do.
 */
export function createTestCache(options: TestCacheOptions = {}): Cache {
  if (typeof options !== "object") createCache(options);
  const { name = "test", clock = new TestClock(), local = true, backend = false, ...rest } = options;
  const settings = Object.entries(rest);
  const ofCache = Object.fromEntries(settings.filter(([option]) => option in OF_CACHE));
  const policy = Object.fromEntries(settings.filter(([option]) => !(option in OF_CACHE)));
  const empty = createCache({ name, clock, logger: SILENT, ...ofCache }).defaults(policy);
  const near = local === true ? mapTier() : local;
  const far = backend === true ? scriptedBackend({ clock }) : backend;
  // Without any tier the builder throws its own error.
  if (near === false) return (far === false ? (empty as unknown as CacheBuilder) : empty.tier(far)).build();
  return (far === false ? empty.tier(near) : empty.tier(near).tier(far)).build();
}

const SILENT: CacheLogger = { error: () => undefined, warn: () => undefined, info: () => undefined };

/** The others are of its policy. This entry may import values of the main one only from its index. */
const OF_CACHE: Readonly<Record<keyof CacheOptions, true>> = {
  name: true,
  version: true,
  maxLoads: true,
  waitUntil: true,
  maxBackgroundLoads: true,
  maxWaiting: true,
  logger: true,
  redactKeys: true,
  explain: true,
  keyGroups: true,
  newKeys: true,
  freezeShared: true,
  verify: true,
  clock: true,
};
