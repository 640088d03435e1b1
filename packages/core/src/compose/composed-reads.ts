import type { TagVersions } from "../contracts/backend.ts";
import type { KeyedQueue } from "../primitives/keyed-queue.ts";
import type { Clock } from "../contracts/clock.ts";
import type { Encoded } from "../entry/codec.ts";
import type { Entry } from "../entry/entry.ts";
import type { ReadRequest } from "../tiers/entry-tier.ts";
import type { CacheError } from "../contracts/errors.ts";
import type { Events } from "../primitives/event-port.ts";
import type { Guard } from "../coherence/guards.ts";
import { newId } from "../primitives/ids.ts";
import { dependencies, type EntryKey } from "../entry/key.ts";
import { namesOneWrite, type NearCopies } from "./near-copies.ts";
import type { RememberedVersions } from "../tags/remembered-versions.ts";
import { partOf, settle, type PartRequest, type SideRead, type TagCheck } from "./composed-side.ts";
import type { SidePair } from "./side-pair.ts";
import { underVersions } from "../tags/tag-versions.ts";

type Read = Promise<Entry | undefined>;
type Outcome = PromiseSettledResult<Entry | undefined>;

export interface ComposedReadsParts {
  readonly sides: SidePair;
  readonly copies: NearCopies;
  /** Changes by this process, by key. */
  readonly changes: KeyedQueue;
  readonly plan: {
    readonly read: "sequential" | "race" | "freshest";
    readonly refill: "always" | "never";
  };
  readonly deadlineMs: number;
  readonly clock: Clock;
  readonly events: Events;
  readonly cache: string;
  /**
   * The tag versions. Entries are checked against them even where a side has no room for tags: another program may have
   * written tagged ones.
   */
  readonly versions: RememberedVersions | undefined;
}

interface Choice {
  readonly entry: Entry | undefined;
  readonly isFar: boolean;
}

/** A read of one key. */
interface KeyRead {
  readonly request: PartRequest;
  readonly guard: Guard;
}

/**
 * Reads from two sides, and copies entries from `far` to `near`.
 *
 * Where all of `far` reports changes, `far` decides: a copy in `near` counts if `far` holds the same write. That is
 * known already, or both are asked. Elsewhere the better of both entries counts.
 */
export class ComposedReads {
  readonly #parts: ComposedReadsParts;

  constructor(parts: ComposedReadsParts) {
    this.#parts = parts;
  }

  /** One trip to `near`, and one to `far` for the keys that `near` cannot answer alone. */
  readMany(requests: readonly ReadRequest[], budgetMs: number): readonly Read[] {
    const { sides, copies, plan, clock } = this.#parts;
    const { near, far, lead } = sides;
    const startedAt = clock.now();
    const reads = this.#withTagCheck(requests).map((request): KeyRead => ({
      request,
      guard: copies.watch(request.key.backend),
    }));
    const nears = near.ask(
      reads.map(({ request }) => request),
      budgetMs,
      lead === near,
    );
    const askFar = (missing: readonly KeyRead[]): ReadonlyMap<KeyRead, SideRead> => {
      const fars = far.ask(
        missing.map(({ request }) => request),
        budgetMs - (clock.now() - startedAt),
        lead === far,
      );
      for (const { entry } of fars) entry.catch(ignore);
      return new Map(missing.map((each, i) => [each, fars[i]!]));
    };
    let asked = plan.read === "sequential" ? undefined : Promise.resolve(askFar(reads));
    const askMissing = async (): Promise<ReadonlyMap<KeyRead, SideRead>> => {
      const outcomes = await Promise.allSettled(nears.map(({ entry }) => entry));
      return askFar(reads.filter((each, i) => !this.#answersAlone(each, valueOf(outcomes[i]!))));
    };
    return reads.map((each, i) => {
      const found = this.#found(each, nears[i]!, async () => (await (asked ??= askMissing())).get(each)!);
      const read = found.catch((error: unknown) => {
        copies.unwatch(each.guard);
        throw error;
      });
      return sides.timed("read", read);
    });
  }

  /**
   * The check of entries against the tag versions, which are read once for all of them. In a nested composition, that
   * of the outermost tier.
   */
  tagCheckFor(request: PartRequest): TagCheck | undefined {
    const { versions, clock } = this.#parts;
    if (request.checkTags !== undefined || versions === undefined) return request.checkTags;
    const expected = dependencies(request.key.space, request.expectedTags);
    const source: Pick<TagVersions, "read"> =
      request.isAfter === true ? versions.withoutFallback : versions.skippingKnown;
    const asked = request.isAfter !== true && versions.knows(expected) ? undefined : source.read(expected);
    asked?.catch(ignore);
    return async (entry) =>
      entry.versions === undefined
        ? entry
        : underVersions(entry, expected, await (asked ?? source.read(expected)), source, clock);
  }

  #withTagCheck(requests: readonly PartRequest[]): readonly PartRequest[] {
    const checkTags = requests[0] && this.tagCheckFor(requests[0]);
    return requests.map((request) => partOf(request, request.checkTags ?? checkTags));
  }

  /** Rejects only when both sides failed, with both causes. */
  async #found(read: KeyRead, near: SideRead, askFar: () => Promise<SideRead>): Read {
    const { sides, copies, plan } = this.#parts;
    const { entry, isFar } = await this.#choose(read, near, askFar);
    if (isFar && this.#isFresh(entry) && entry.isUnconfirmed !== true && plan.refill === "always")
      sides.inBackground(this.#refill(entry, read, near).finally(() => copies.unwatch(read.guard)));
    else copies.unwatch(read.guard);
    return entry;
  }

  async #choose(read: KeyRead, near: SideRead, askFar: () => Promise<SideRead>): Promise<Choice> {
    switch (this.#parts.plan.read) {
      case "sequential": {
        const outcome = await settle(near.entry);
        const entry = valueOf(outcome);
        return this.#answersAlone(read, entry)
          ? this.#nearAlone(read, entry)
          : this.#decide(read, outcome, await askFar());
      }
      case "race": {
        const far = await askFar();
        const choices = [
          near.entry.then((entry): Choice | undefined =>
            this.#answersAlone(read, entry) ? this.#nearAlone(read, entry) : undefined,
          ),
          far.entry.then((entry): Choice | undefined => (this.#isFresh(entry) ? { entry, isFar: true } : undefined)),
        ];
        return (await first(choices)) ?? this.#decide(read, await settle(near.entry), far);
      }
      case "freshest": {
        const far = await askFar();
        return this.#decide(read, await settle(near.entry), far);
      }
    }
  }

  #answersAlone({ request }: KeyRead, entry: Entry | undefined): entry is Entry {
    return (
      this.#isFresh(entry) && request.isAfter !== true && this.#parts.copies.answersAlone(request.key.backend, entry)
    );
  }

  /** Both sides hold the same write, so the version in `near` is that in `far`. */
  #nearAlone({ request }: KeyRead, entry: Entry): Choice {
    const { lead, far } = this.#parts.sides;
    if (lead === far && namesOneWrite(entry.version)) request.saw?.(entry.version);
    return { entry, isFar: false };
  }

  /** Chooses between the answers of both sides. */
  async #decide(read: KeyRead, near: Outcome, farRead: SideRead): Promise<Choice> {
    const { sides, copies } = this.#parts;
    const { guard, request } = read;
    const { key } = request;
    const far = await settle(farRead.entry);
    sides.answered("read", [near, far]);
    const [held, found] = [valueOf(near), valueOf(far)];
    const isAfter = request.isAfter === true;
    if (far.status === "rejected" || farRead.isHidden || found?.isUnconfirmed === true) {
      // Neither entry is known to include the write that an `after` read must see.
      if (isAfter || held === undefined || !copies.canServeOnError(key.backend, held))
        return { entry: found, isFar: true };
      return this.#better(
        copies.needsProof && !copies.answersAlone(key.backend, held) ? { ...held, isUnconfirmed: true } : held,
        found,
      );
    }
    if (held === undefined) return { entry: found, isFar: true };
    if (!copies.needsProof && !isAfter)
      return copies.answersAlone(key.backend, held) ? this.#better(held, found) : { entry: found, isFar: true };
    if (!this.#isSameWrite(key, held, farRead.version)) {
      if (copies.needsProof && copies.isUntainted(guard)) copies.overtake(key.backend);
      return { entry: found, isFar: true };
    }
    copies.prove(guard, { key, version: farRead.version });
    return this.#better(held, found);
  }

  #isSameWrite(key: EntryKey, held: Entry, farVersion: string | undefined): boolean {
    const { sides, copies } = this.#parts;
    return (
      sides.far.tier.leases !== undefined &&
      namesOneWrite(farVersion) &&
      copies.versionOf(key.backend, held) === farVersion
    );
  }

  /** Fresh before stale, then the longer life; a tie goes to `near`. */
  #better(near: Entry | undefined, far: Entry | undefined): Choice {
    const isFar =
      far !== undefined &&
      (near === undefined ||
        (this.#isFresh(near) === this.#isFresh(far) ? endOf(far) > endOf(near) : this.#isFresh(far)));
    return { entry: isFar ? far : near, isFar };
  }

  /** Copies an entry from `far` to `near`, unless `near` has it by now, or the key has changed since. */
  async #refill(entry: Entry, { request: { key }, guard }: KeyRead, nearRead: SideRead): Promise<void> {
    const { sides, copies, changes, events, cache } = this.#parts;
    const { tier, recovery } = sides.near;
    const held = valueOf(await settle(nearRead.entry));
    if (this.#isFresh(held) && this.#isUpToDate(key, held, entry))
      return copies.prove(guard, { key, version: copies.versionOf(key.backend, held) });
    let encoded: Encoded;
    try {
      encoded = await tier.encode(entry.value);
    } catch (error) {
      events["backend:error"].emit({
        cache,
        namespace: key.space.path,
        tier: tier.label,
        operation: "encode",
        error: error as CacheError,
      });
      return;
    }
    if (!copies.isUntainted(guard) || changes.has(key.backend)) return;
    const copy = copies.limited(
      namesOneWrite(entry.version) || tier.leases === undefined ? entry : { ...entry, version: newId() },
    );
    await changes.run(key.backend, async () => {
      const status = await tier.write(key, { entry: copy, encoded, versions: entry.versions });
      if (status === "stored") copies.written(guard, { key, version: copy.version }, { matchesFar: true });
    });
    recovery.forgetKey(key);
  }

  /** Whether a fresh copy in `near` needs no refill. */
  #isUpToDate(key: EntryKey, held: Entry, entry: Entry): boolean {
    const { copies } = this.#parts;
    return copies.needsProof
      ? this.#isSameWrite(key, held, entry.version)
      : this.#lastsAsLong(held, entry) && copies.answersAlone(key.backend, held);
  }

  /** Two copies of one write may end at different times, by the duration of one trip. */
  #lastsAsLong(held: Entry, entry: Entry): boolean {
    return endOf(held) + this.#parts.deadlineMs >= endOf(entry);
  }

  #isFresh(entry: Entry | undefined): entry is Entry {
    if (entry === undefined) return false;
    const now = this.#parts.clock.now();
    return now < entry.staleAt && now < entry.deadAt;
  }
}

const valueOf = (outcome: Outcome): Entry | undefined => (outcome.status === "fulfilled" ? outcome.value : undefined);
const ignore = (): undefined => undefined;

/** When the life of the entry ends. For a copy that `nearTtl` limits, the end of the full entry. */
const endOf = (entry: Entry): number => entry.staleAt + Math.max(entry.staleWhileRevalidateMs, entry.staleIfErrorMs);

/** The first value that is not `undefined`; `undefined` when there is none. */
function first<T>(works: readonly Promise<T | undefined>[]): Promise<T | undefined> {
  return Promise.any(works.map(async (work) => (await work) ?? Promise.reject(NONE))).catch(ignore);
}

const NONE = new Error("none");
