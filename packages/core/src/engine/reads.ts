import { Guard } from "../coherence/guards.ts";
import type { Awaitable } from "../contracts/awaitable.ts";
import type { Entry } from "../entry/entry.ts";
import { isFresh, isMarked, isServable, lifeOf, newerThanRead, staleByTag } from "../entry/freshness.ts";
import { NO_TAGS, type EntryKey } from "../entry/key.ts";
import type { GetOptions } from "../entry/policy.ts";
import { compareVersions, type Versions } from "../tags/tag-versions.ts";
import { type ReadOutcome, type ReadRequest, settle, type Settled } from "../tiers/entry-tier.ts";
import { unasked } from "../tiers/recovery.ts";
import { type Answer, type Answers, hit, MISS, stale } from "./answers.ts";
import type { NamespaceContext } from "./call.ts";
import type { Copies, Reporting, Writing } from "./context.ts";
import { usedByCaller } from "./loading.ts";
import type { UsedValues } from "./used-values.ts";

/** The state of one entry, for people and for tests. */
export interface EntryInfo {
  /** The state in which a call would find the entry now. */
  readonly state: "fresh" | "stale";
  /** Label of the nearest tier that holds it. */
  readonly tier: string;
  /** Since it was loaded or set. */
  readonly ageMs: number;
  /** Remaining freshness; negative when stale. */
  readonly freshForMs: number;
  /** Remaining life, stale windows included; may be `Infinity`. */
  readonly expiresInMs: number;
  /** Tags of the entry itself, without its namespace. */
  readonly tags: readonly string[];
  /** The `etag` that was stored with the value. */
  readonly etag?: string;
  /** The `lastModified` that was stored with the value. */
  readonly lastModified?: string;
  /** Ids and size as stored; absent for an entry that only the local tier holds. */
  readonly encoding?: { readonly format: string; readonly compressor: string; readonly bytes: number };
}

type ReadContext = Reporting & Copies & Pick<Writing, "recovery">;

/** Reads without a loader. They never load, and never fail because of a backend. */
export class Reads {
  readonly #context: ReadContext;
  readonly #answers: Answers;

  constructor(context: ReadContext, answers: Answers) {
    this.#context = context;
    this.#answers = answers;
  }

  get(namespace: NamespaceContext, key: EntryKey, { allowStale = false, onServed }: GetOptions): Promise<unknown> {
    const { local, clock, flights } = this.#context;
    const call: ReadCall = { namespace, key, startedAt: clock.now(), allowStale, usedBy: usedByCaller(), onServed };
    const copy = local?.get(key.local, call.startedAt);
    const { remote } = namespace;
    if (remote === undefined || isFresh(copy, call.startedAt))
      return Promise.resolve(this.#answer(call, copy, undefined));
    const guard = new Guard();
    flights.add(key.local, guard);
    const read = this.#isCovered(key)
      ? this.#readAfterReplay(namespace, key)
      : remote.reads.read(this.#request(namespace, key), remote.deadlineMs);
    return read.then(
      (found) => this.#ended(call, copy, guard, found),
      async (error: unknown) => {
        const served = copy ?? (await spareCopy(this.#context, namespace, key));
        return this.#ended(call, served, guard, error as Error);
      },
    );
  }

  /** Reads many keys, in their order. A fresh copy is the answer, even if it ends while others are read. */
  async getMany(
    namespace: NamespaceContext,
    keys: readonly EntryKey[],
    allowStale: boolean,
  ): Promise<readonly unknown[]> {
    const { local, clock, flights } = this.#context;
    const startedAt = clock.now();
    const usedBy = usedByCaller();
    // Literals, here and below: a spread with more members takes 500 bytes.
    const callOf = (key: EntryKey): ReadCall => ({
      namespace,
      key,
      startedAt,
      allowStale,
      usedBy,
      onServed: undefined,
    });
    const asked: Asked[] = [];
    const answers = keys.map((key, index) => {
      const copy = local?.get(key.local, startedAt);
      if (namespace.remote === undefined || isFresh(copy, startedAt)) return this.#answer(callOf(key), copy, undefined);
      const guard = new Guard();
      flights.add(key.local, guard);
      const { schema } = namespace;
      const { sequence: tagSequence } = this.#context.tags;
      asked.push({ key, schema, expectedTags: NO_TAGS, tagSequence, index, copy, guard, outcome: undefined });
      return undefined;
    });
    if (asked.length === 0) return answers;
    await this.#readMany(namespace, asked);
    const isFailed = asked.some(({ outcome }) => outcome instanceof Error);
    const copies = isFailed ? await Promise.all(asked.map(async (each) => this.#copyFor(namespace, each))) : undefined;
    asked.forEach(({ index, key, copy, guard, outcome }, i) => {
      answers[index] = this.#ended(callOf(key), copies === undefined ? copy : copies[i], guard, outcome);
    });
    return answers;
  }

  #copyFor(namespace: NamespaceContext, { key, copy, outcome }: Asked): Awaitable<Entry | undefined> {
    return copy ?? (outcome instanceof Error ? spareCopy(this.#context, namespace, key) : undefined);
  }

  /** Reads in one trip all keys that no pending invalidation covers. */
  #readMany(namespace: NamespaceContext, asked: readonly Asked[]): Promise<void> {
    const { reads, deadlineMs } = namespace.remote!;
    return new Promise((resolve) => {
      let left = asked.length;
      const settled: Settled<Asked> = (each, outcome) => {
        each.outcome = outcome;
        left -= 1;
        if (left === 0) resolve();
      };
      const together = asked.filter((each) => {
        const isCovered = this.#isCovered(each.key);
        if (isCovered) settle(this.#readAfterReplay(namespace, each.key), each, settled);
        return !isCovered;
      });
      reads.readMany(together, deadlineMs, settled);
    });
  }

  /** A peek that found no fresh copy counts as a miss, like every call. */
  nothingToPeek(namespace: NamespaceContext, key: EntryKey): undefined {
    const startedAt = this.#context.clock.now();
    this.#answers.count({ namespace, key, startedAt, usedBy: undefined }, MISS, "local tier");
  }

  async inspect(namespace: NamespaceContext, key: EntryKey): Promise<EntryInfo | undefined> {
    const { local, clock } = this.#context;
    const { remote } = namespace;
    let copy = local?.get(key.local, clock.now());
    let found: Entry | undefined;
    if (copy === undefined && remote !== undefined) {
      try {
        found = await this.entry(namespace, key);
      } catch {
        copy = await spareCopy(this.#context, namespace, key);
      }
    }
    const entry = copy ?? found;
    if (entry === undefined) return undefined;
    const now = clock.now();
    const { tags, etag, lastModified } = entry.terms;
    return {
      state: isFresh(entry, now) ? "fresh" : "stale",
      tier: copy !== undefined ? local!.label : remote!.label,
      ...lifeOf(entry, now),
      // A copy: other entries have the same array.
      tags: [...tags],
      ...(etag !== undefined && { etag }),
      ...(lastModified !== undefined && { lastModified }),
      ...(entry.encoding !== undefined && { encoding: { ...entry.encoding, bytes: entry.encodedBytes! } }),
    };
  }

  /** The entry that a read finds, unless invalidated here. Rejects if the backend fails. */
  async entry(namespace: NamespaceContext, key: EntryKey): Promise<Entry | undefined> {
    const found = await this.#readAfterReplay(namespace, key);
    return valid(this.#context, key, found, this.#context.clock.now());
  }

  /**
   * The answer to a call. What was read is promoted, unless something newer happened meanwhile.
   *
   * @param copy the local copy; after a read that failed, the one that is served in its place.
   */
  #ended(call: ReadCall, copy: Entry | undefined, guard: Guard, outcome: ReadOutcome): unknown {
    const { namespace, key } = call;
    const { flights, clock } = this.#context;
    const now = clock.now();
    flights.remove(guard);
    const entry = outcome instanceof Error ? undefined : valid(this.#context, key, outcome, now);
    // A reader without a loader refreshes nothing, so a stale copy is of no use to it.
    if (isFresh(entry, now)) promote(this.#context, guard, entry, namespace.policy.localTtlMs, now);
    return this.#answer(call, copy, entry);
  }

  #isCovered(key: EntryKey): boolean {
    return this.#context.recovery?.coversTagged(key, NO_TAGS) === true;
  }

  /**
   * A read of a key that a pending invalidation may cover: that is sent first, and the read begins after it, so the
   * acknowledgement does not change what it finds. A backend that refuses the invalidation is asked all the same: what
   * it has is hidden, and from then on it reports the changes by others. While it does not answer, it is not asked.
   */
  async #readAfterReplay(namespace: NamespaceContext, key: EntryKey): Promise<Entry | undefined> {
    const { clock, recovery } = this.#context;
    const { label, deadlineMs, reads } = namespace.remote!;
    const startedAt = reads.time.timeAt(clock.now());
    if (this.#isCovered(key)) await recovery!.replayWithin(deadlineMs);
    const isHidden = this.#isCovered(key);
    if (isHidden && !recovery!.isRefused) throw unasked(label);
    const leftMs = deadlineMs - (reads.time.timeAt(clock.now()) - startedAt);
    const found = await reads.read(this.#request(namespace, key), leftMs);
    return isHidden && found !== undefined ? hidden(found) : found;
  }

  #request({ schema }: NamespaceContext, key: EntryKey): ReadRequest {
    return { key, schema, expectedTags: NO_TAGS, tagSequence: this.#context.tags.sequence };
  }

  #answer(call: ReadCall, copy: Entry | undefined, found: Entry | undefined): unknown {
    return this.#answers.serve(call, "first", this.#answerOf(call, copy, found));
  }

  #answerOf({ namespace, allowStale }: ReadCall, copy: Entry | undefined, found: Entry | undefined): Answer {
    const { local, clock } = this.#context;
    const best = newerThanRead(found, copy);
    const label = found && best === found ? namespace.remote!.label : (local?.label ?? "");
    const now = clock.now();
    if (best === undefined || now >= best.deadAt) return MISS;
    if (now < best.staleAt) return hit(best, label);
    const isServed = allowStale && isServable(best, now, namespace.policy);
    return isServed ? stale(best, label, isMarked(best) ? "marked" : "age") : MISS;
  }
}

/** One key of many, while the backend is asked for it. */
interface Asked extends ReadRequest {
  readonly index: number;
  readonly copy: Entry | undefined;
  readonly guard: Guard;
  outcome: ReadOutcome;
}

/** One call that reads without a loader. */
interface ReadCall {
  readonly namespace: NamespaceContext;
  readonly key: EntryKey;
  readonly startedAt: number;
  readonly allowStale: boolean;
  readonly usedBy: UsedValues | undefined;
  readonly onServed: GetOptions["onServed"];
}

/**
 * The copy that is served while the backend does not answer; see {@link LocalCopies.unconfirmed}. None while a value is
 * on its way: nothing is asked then, so no change by others ends a copy.
 *
 * Of a backend in several parts, the one that keeps the tag versions may answer although that of the entry does not:
 * then it is asked for those of the copy that are not known.
 */
export function spareCopy(of: ReadContext, { remote }: NamespaceContext, key: EntryKey): Awaitable<Entry | undefined> {
  const { local, recovery, clock } = of;
  const spare = (): Entry | undefined =>
    recovery?.isEarly(key) === true ? undefined : local?.unconfirmed(key.local, clock.now());
  const copy = remote?.hasParts === true && remote.versions !== undefined ? local?.copyOf(key.local) : undefined;
  if (copy === undefined) return spare();
  const { versions, terms } = copy;
  // It was loaded while there were no versions to be had: nothing says that it is current.
  if (remote!.knownVersions.knows(terms.dependsOn)) return versions && spare();
  const under = (current: Versions): Entry | undefined => {
    const verdict = versions === undefined ? "gone" : compareVersions(versions, current);
    const unchanged = verdict === "gone" ? undefined : spare();
    return unchanged && verdict === "stale" ? staleByTag(unchanged, clock.now()) : unchanged;
  };
  return remote!.knownVersions.current(remote!.versions!, terms.dependsOn).then(under, spare);
}

/** The entry that a read found, unless this process invalidated it, or it has no value. */
export function valid(of: ReadContext, key: EntryKey, found: Entry | undefined, now: number): Entry | undefined {
  const entry = found && of.tags.applyTo(found, now);
  const isNone = entry?.terms.placeholder !== undefined;
  return isNone || (entry && of.recovery?.hides(key, entry)) === true ? undefined : entry;
}

/** `Recovery.hides` such an entry, even if a newer call has ended the invalidation since the read was sent. */
export const hidden = (found: Entry): Entry => ({ ...found, tagSequence: -Infinity });

/**
 * Keeps a local copy of an entry that was read, fresh or stale, unless its key changed since the read was sent. A stale
 * copy spares the next calls the trip, while one of them, or another process, loads.
 */
export function promote(
  { local, flights }: Pick<Copies, "local" | "flights">,
  guard: Guard,
  entry: Entry,
  localTtlMs: number | undefined,
  now: number,
): void {
  if (now < entry.deadAt && !guard.isTainted)
    local?.keep(guard.tableKey, entry, localTtlMs ?? Infinity, flights.copyEpoch(guard));
}
