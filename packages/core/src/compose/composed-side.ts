import type { TagVersions } from "../contracts/backend.ts";
import { EncodeError } from "../contracts/errors.ts";
import type { Entry } from "../entry/entry.ts";
import type { EntryKey } from "../entry/key.ts";
import type { EntryTier, ReadRequest } from "../tiers/entry-tier.ts";
import { Recovery } from "../tiers/recovery.ts";
import type { CompositionParts } from "./composition.ts";

/** Compares an entry with the current tag versions: the entry, a stale one, or `undefined` if it was invalidated. */
export type TagCheck = (entry: Entry) => Promise<Entry | undefined>;

/** An entry that was found, as it may be served. */
export type EntryCheck = (request: ReadRequest, entry: Entry, tags: TagCheck) => Promise<Entry | undefined>;

/** One of the two tiers of a composition. It knows which keys must not be read from this tier. */
export class ComposedSide {
  readonly tier: EntryTier;
  readonly check: EntryCheck;
  /** Keys whose last write failed here and succeeded on the other side: they are removed here. */
  readonly recovery: Recovery;
  /** Keys whose last write the other side has taken, and this one has not answered. */
  readonly late: Set<string> = new Set();
  readonly #parts: CompositionParts;

  /** @param versions renewed when too many keys are pending; without them the oldest is forgotten. */
  constructor(tier: EntryTier, check: EntryCheck, versions: TagVersions | undefined, parts: CompositionParts) {
    this.tier = tier;
    this.check = check;
    this.#parts = parts;
    const remote = {
      label: tier.label,
      get retryInMs() {
        return tier.retryInMs;
      },
      remove: (key: EntryKey) => tier.remove(key),
      versions,
    };
    this.recovery = new Recovery({ ...parts, remote, replayed: { key: ignore, tags: ignore } });
  }

  /** Whether its entry may be older than that of the other side. */
  isHidden(key: EntryKey): boolean {
    return this.late.has(key.backend) || this.recovery.coversTagged(key, []);
  }

  /** A write failed here, and no caller gets the error. The tier has reported it, unless it cannot write this value. */
  failed({ space, name: key }: EntryKey, error: unknown): void {
    if (!(error instanceof EncodeError)) return;
    const { events, cache } = this.#parts;
    const { tier = this.tier.label, operation = "encode" } = error;
    events["backend:error"].emit({ cache, namespace: space.path, key, tier, operation, error });
  }

  /**
   * Reads all keys that are not hidden, in one trip.
   *
   * @param isLead whether `saw` of the requests gets the versions of this side.
   */
  ask(
    requests: readonly ReadRequest[],
    budgetMs: number,
    { tags, isLead }: { readonly tags: TagCheck; readonly isLead: boolean },
  ): readonly Promise<Entry | undefined>[] {
    const isHidden = requests.map(({ key }) => this.isHidden(key));
    if (isHidden.includes(true)) void this.recovery.replay();
    const asked = requests.filter((_, i) => !isHidden[i]).map((request) => partOf(request, isLead));
    const outcomes = asked.map(() => Promise.withResolvers<Entry | undefined>());
    this.tier.readMany(asked, Math.min(budgetMs, this.tier.deadlineMs), (i, outcome) => {
      if (outcome instanceof Error) outcomes[i]!.reject(outcome);
      else outcomes[i]!.resolve(outcome);
    });
    const reads = outcomes.values();
    const answers = requests.map(async (request, i) => {
      const found = isHidden[i] ? undefined : await reads.next().value!.promise;
      const entry = found && (await this.check(request, found, tags));
      this.tier.meter[entry === undefined ? "misses" : "hits"] += 1;
      return entry;
    });
    // The answer of the other side may be enough.
    for (const answer of answers) answer.catch(ignore);
    return answers;
  }
}

/** A request as a side gets it. Copied member by member, since a flight inherits its members from its class. */
function partOf(request: ReadRequest, isLead: boolean): ReadRequest {
  const { key, schema, expectedTags, tagSequence, isCurrent = false } = request;
  const part = { key, schema, expectedTags, tagSequence, isCurrent };
  return isLead ? { ...part, saw: (version) => request.saw?.(version) } : part;
}

const ignore = (): undefined => undefined;
