import type { TagVersions } from "../contracts/backend.ts";
import type { Clock } from "../contracts/clock.ts";
import type { Entry } from "../entry/entry.ts";
import type { EntryTier, ReadRequest } from "../tiers/entry-tier.ts";
import type { Events } from "../primitives/event-port.ts";
import { entryKey, type EntryKey, type KeySpace } from "../entry/key.ts";
import { Recovery } from "../tiers/recovery.ts";

/** A read within a composition, whose outermost tier says how entries are held against the tag versions. */
export interface PartRequest extends ReadRequest {
  readonly judge?: Judge;
}
export type Judge = (entry: Entry) => Promise<Entry | undefined>;

/** What one side was asked for one key. */
export interface Asked {
  readonly entry: Promise<Entry | undefined>;
  /** Not asked: what it holds may be older than what the other side has. */
  readonly isHidden: boolean;
  /** The version of what it holds, `''` for nothing, once it has answered. */
  version: string | undefined;
}

export interface SideOf {
  readonly tier: EntryTier;
  readonly isComposed: boolean;
  readonly versions: TagVersions | undefined;
  readonly clock: Clock;
  readonly events: Events;
  readonly cache: string;
  readonly root: KeySpace;
}

/** One of the two tiers of a composition, and what it may hold that must not be served. */
export class ComposedSide {
  readonly tier: EntryTier;
  /** Whether it is a composition itself, which holds entries against the tag versions by itself. */
  readonly isComposed: boolean;
  /** Keys whose last write it did not take although the other side did: to be removed here. */
  readonly recovery: Recovery;
  /** Keys whose last write it has not answered yet although the other side took it. */
  readonly late: Set<string> = new Set();

  constructor({ tier, isComposed, versions, clock, events, cache, root }: SideOf) {
    this.tier = tier;
    this.isComposed = isComposed;
    this.recovery = new Recovery({
      remote: replayedIn(tier, root, versions),
      clock,
      events,
      cache,
      root,
      replayed: { key: () => undefined, tags: () => undefined },
    });
  }

  /** Whether it may hold something older than the other side. */
  isHidden(key: EntryKey): boolean {
    return this.late.has(key.backend) || this.recovery.coversTagged(key, []);
  }

  /** In one trip, without the keys that are hidden. @param tells whether it tells `saw` what it holds. */
  ask(requests: readonly PartRequest[], budgetMs: number, tells: boolean): readonly Asked[] {
    const isHidden = requests.map(({ key }) => this.isHidden(key));
    if (this.recovery.size !== 0 && isHidden.includes(true)) void this.recovery.replay();
    const versions: (string | undefined)[] = [];
    const asking = requests.map((request, i): PartRequest => ({
      ...request,
      saw: (version) => {
        versions[i] = version;
        if (tells) request.saw?.(version);
      },
    }));
    const reads = this.tier
      .readMany(
        asking.filter((_, i) => !isHidden[i]),
        Math.min(budgetMs, this.tier.deadlineMs),
      )
      .values();
    return requests.map(({ judge }, i) => ({
      entry: this.#found(isHidden[i] ? undefined : reads.next().value!, judge),
      isHidden: isHidden[i]!,
      get version() {
        return versions[i];
      },
    }));
  }

  async #found(read: Promise<Entry | undefined> | undefined, judge: Judge | undefined): Promise<Entry | undefined> {
    const found = await read;
    const entry = found !== undefined && !this.isComposed && judge !== undefined ? await judge(found) : found;
    this.tier.meter[entry === undefined ? "misses" : "hits"] += 1;
    return entry;
  }
}

/** A request as the sides get it: a flight has its members from its class. */
export function partOf(request: PartRequest, judge: Judge | undefined): PartRequest {
  const { key, schema, expectedTags, tagSequence, isAfter } = request;
  return {
    key,
    schema,
    expectedTags,
    tagSequence,
    ...(isAfter !== undefined && { isAfter }),
    ...(judge !== undefined && { judge }),
    saw: (version) => request.saw?.(version),
  };
}

export async function settle<T>(work: Promise<T>): Promise<PromiseSettledResult<T>> {
  const [outcome] = await Promise.allSettled([work]);
  return outcome;
}

/**
 * A side as its recovery sees it. What is too much to remember key by key ends as new versions for all keys of both
 * sides: that waits until this side answers, since until then nobody reads it, and its next outage would do the same again.
 */
function replayedIn(
  tier: EntryTier,
  root: KeySpace,
  versions: TagVersions | undefined,
): ConstructorParameters<typeof Recovery>[0]["remote"] {
  const nothing: ReadRequest = { key: entryKey(root, ""), schema: undefined, expectedTags: [], tagSequence: 0 };
  return {
    label: tier.label,
    get retryInMs() {
      return tier.retryInMs;
    },
    remove: (key) => tier.remove(key),
    versions: versions && {
      renew: async (keys, mode) => {
        await tier.read(nothing, tier.deadlineMs);
        await versions.renew(keys, mode);
      },
    },
  };
}
