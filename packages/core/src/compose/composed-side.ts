import type { TagVersions } from "../contracts/backend.ts";
import type { Clock } from "../contracts/clock.ts";
import type { Entry } from "../entry/entry.ts";
import type { EntryTier, ReadRequest } from "../tiers/entry-tier.ts";
import type { Events } from "../primitives/event-port.ts";
import { entryKey, type EntryKey, type KeySpace } from "../entry/key.ts";
import { Recovery } from "../tiers/recovery.ts";

/** A read within a composition. The outermost tier provides the tag check. */
export interface PartRequest extends ReadRequest {
  readonly checkTags?: TagCheck;
}

/** Compares an entry with the current tag versions: the entry, a stale one, or `undefined` if it was invalidated. */
export type TagCheck = (entry: Entry) => Promise<Entry | undefined>;

/** A read of one key on one side. */
export interface SideRead {
  readonly entry: Promise<Entry | undefined>;
  /** The side was not asked: its entry may be older than that of the other side. */
  readonly isHidden: boolean;
  /** The version of the entry that the side holds, `''` for none. Set when the side has answered. */
  readonly version: string | undefined;
}

export interface ComposedSideParts {
  readonly tier: EntryTier;
  readonly isComposed: boolean;
  readonly versions: TagVersions | undefined;
  readonly clock: Clock;
  readonly events: Events;
  readonly cache: string;
  readonly root: KeySpace;
}

/** One of the two tiers of a composition. It knows which keys must not be read from this tier. */
export class ComposedSide {
  readonly tier: EntryTier;
  /** Whether it is a composition, which checks entries against the tag versions itself. */
  readonly isComposed: boolean;
  /** Keys whose last write failed here and succeeded on the other side: they are removed here. */
  readonly recovery: Recovery;
  /** Keys whose last write is unanswered here and succeeded on the other side. */
  readonly late: Set<string> = new Set();

  constructor({ tier, isComposed, versions, clock, events, cache, root }: ComposedSideParts) {
    this.tier = tier;
    this.isComposed = isComposed;
    this.recovery = new Recovery({
      remote: recoverable(tier, root, versions),
      clock,
      events,
      cache,
      root,
      replayed: { key: () => undefined, tags: () => undefined },
    });
  }

  /** Whether its entry may be older than that of the other side. */
  isHidden(key: EntryKey): boolean {
    return this.late.has(key.backend) || this.recovery.coversTagged(key, []);
  }

  /**
   * Reads all keys that are not hidden, in one trip.
   *
   * @param isLead whether `saw` of the requests gets the versions of this side.
   */
  ask(requests: readonly PartRequest[], budgetMs: number, isLead: boolean): readonly SideRead[] {
    const isHidden = requests.map(({ key }) => this.isHidden(key));
    if (this.recovery.size !== 0 && isHidden.includes(true)) void this.recovery.replay();
    const versions: (string | undefined)[] = [];
    const asking = requests.map((request, i): PartRequest => ({
      ...request,
      saw: (version) => {
        versions[i] = version;
        if (isLead) request.saw?.(version);
      },
    }));
    const reads = this.tier
      .readMany(
        asking.filter((_, i) => !isHidden[i]),
        Math.min(budgetMs, this.tier.deadlineMs),
      )
      .values();
    return requests.map(({ checkTags }, i) => ({
      entry: this.#found(isHidden[i] ? undefined : reads.next().value!, checkTags),
      isHidden: isHidden[i]!,
      get version() {
        return versions[i];
      },
    }));
  }

  async #found(
    read: Promise<Entry | undefined> | undefined,
    checkTags: TagCheck | undefined,
  ): Promise<Entry | undefined> {
    const found = await read;
    const entry = found !== undefined && !this.isComposed && checkTags !== undefined ? await checkTags(found) : found;
    this.tier.meter[entry === undefined ? "misses" : "hits"] += 1;
    return entry;
  }
}

/** A request as the sides get it. Copied member by member, since a flight inherits its members from its class. */
export function partOf(request: PartRequest, checkTags: TagCheck | undefined): PartRequest {
  const { key, schema, expectedTags, tagSequence, isAfter } = request;
  return {
    key,
    schema,
    expectedTags,
    tagSequence,
    ...(isAfter !== undefined && { isAfter }),
    ...(checkTags !== undefined && { checkTags }),
    saw: (version) => request.saw?.(version),
  };
}

export async function settle<T>(work: Promise<T>): Promise<PromiseSettledResult<T>> {
  const [outcome] = await Promise.allSettled([work]);
  return outcome;
}

/**
 * A side as its recovery sees it. When too many keys are pending, recovery renews the tag versions of all keys, on both
 * sides. That waits until this side answers: before, it is not read, and its next outage would renew them once more.
 */
function recoverable(
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
