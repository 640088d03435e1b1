import { createCache, memory, msgpack, redis, sqlite, type Cache, type Duration } from "hotset";

/** How long the facts of a package in development are fresh: one whose version is a prerelease. */
export const DRAFT_TTL_MS = 4_000;

/** A released package does not change; its facts may be dropped at some time. */
const RELEASE_TTL: Duration = "1h";

export interface FactsCacheOptions {
  /** Memory over this Redis, where there is one. */
  readonly redisUrl?: string | undefined;
  /** Otherwise memory over this file, which outlives the process. */
  readonly file: string;
  /** @default 'hotset' */
  readonly keyPrefix?: string | undefined;
}

/** Opens nothing: it connects with the first call. */
export function createFactsCache({ redisUrl, file, keyPrefix = "hotset" }: FactsCacheOptions): Cache {
  // Reading, hashing and compressing keep a core busy: more loads at a time would delay the hits.
  const near = createCache({ name: "package-facts", maxLoads: 1 }).tier(memory());
  const tiers =
    redisUrl === undefined
      ? near.tier(sqlite(file))
      : near.tier(
          redis(redisUrl)
            .keyPrefix(keyPrefix)
            .valueFormat(msgpack())
            .coherence("none")
            .backoff({ base: "20ms", max: "250ms" })
            .build(),
        );
  return tiers
    .defaults({
      ttl: RELEASE_TTL,
      staleWhileRevalidate: "1h",
      staleIfError: "1d",
      // No other process writes these entries, so there are no changes to receive: no copy has to be confirmed, also
      // after Redis was unreachable and has come back empty.
      localTtl: RELEASE_TTL,
    })
    .build();
}
