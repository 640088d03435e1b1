import { createCache, memory, msgpack, redis, type Cache, type Duration } from "hotset";

/** How long the facts of a package are fresh that is still worked on: one whose version is a prerelease. */
export const DRAFT_TTL_MS = 2_000;

/** What has been released does not change; it may be forgotten some day. */
const RELEASE_TTL: Duration = "1h";

export interface FactsCacheOptions {
  /** Memory over this Redis; `undefined`: memory alone. */
  readonly redisUrl?: string | undefined;
  /** @default 'hotset' */
  readonly keyPrefix?: string | undefined;
}

/** Opens nothing: it connects with the first call. */
export function createFactsCache({ redisUrl, keyPrefix = "hotset" }: FactsCacheOptions): Cache {
  // Reading, hashing and compressing keep a core busy: more loads at a time would hold up those who hit.
  const near = createCache({ name: "package-facts", maxLoads: 1 }).tier(memory());
  const tiers =
    redisUrl === undefined
      ? near
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
      // Nobody else writes what this process reads, so there is nothing to hear of: no copy has to be confirmed, also by a
      // Redis that was away and has come back empty.
      localTtl: RELEASE_TTL,
    })
    .build();
}
