import type { TagVersions } from "../contracts/backend.ts";
import type { KeyedQueue } from "../primitives/keyed-queue.ts";
import type { Clock } from "../contracts/clock.ts";
import type { Encoded } from "../entry/codec.ts";
import type { Entry } from "../entry/entry.ts";
import type { ReadRequest } from "../tiers/entry-tier.ts";
import type { CacheError } from "../contracts/errors.ts";
import type { Events } from "../contracts/events.ts";
import type { Guard } from "../engine/flights.ts";
import { newId } from "../primitives/ids.ts";
import { dependencies } from "../entry/key.ts";
import { isTelling, type NearCopies } from "./near-copies.ts";
import type { RememberedVersions } from "../tags/remembered-versions.ts";
import { partOf, settle, type Asked, type Judge, type PartRequest, type ComposedSide } from "./composed-side.ts";
import { underVersions } from "../tags/tag-versions.ts";

type Read = Promise<Entry | undefined>;
type Outcome = PromiseSettledResult<Entry | undefined>;

export interface ComposedReadsOf {
  readonly near: ComposedSide;
  readonly far: ComposedSide;
  /** Whose versions the cache is told: its leases are taken there. */
  readonly lead: ComposedSide | undefined;
  readonly copies: NearCopies;
  readonly changes: KeyedQueue;
  readonly plan: {
    readonly read: "sequential" | "race" | "freshest";
    readonly refill: "always" | "never";
    readonly nearTtlMs: number;
  };
  readonly deadlineMs: number;
  readonly clock: Clock;
  readonly events: Events;
  readonly cache: string;
  /** Versions that entries are held against, also where not both sides have room for them: others may write entries that have some. */
  readonly versions: RememberedVersions | undefined;
  /** Throws when neither has answered, with both causes. */
  readonly answered: (outcomes: readonly [near: Outcome, far: Outcome]) => void;
  /** Goes on behind the answer. */
  readonly goOn: (work: Promise<unknown>) => void;
}

interface Choice {
  readonly entry: Entry | undefined;
  readonly isFar: boolean;
}

/** One key that is read. */
interface Wanted {
  readonly id: string;
  readonly request: PartRequest;
  readonly guard: Guard;
}

/**
 * Reading from two sides, and copying to `near` what was found in `far`.
 *
 * Where all of `far` is heard it decides: what `near` holds counts if `far` holds the same write, which is known, or found
 * out by asking both. Otherwise the better of the two counts.
 */
export class ComposedReads {
  readonly #of: ComposedReadsOf;

  constructor(of: ComposedReadsOf) {
    this.#of = of;
  }

  /** One trip to `near`, and one to `far` for what `near` cannot answer alone. */
  readMany(requests: readonly ReadRequest[], budgetMs: number): readonly Read[] {
    const { near, far, lead, copies, plan, clock } = this.#of;
    const startedAt = clock.now();
    const wanted = this.#judged(requests).map((request): Wanted => {
      const id = request.key.backend;
      return { id, request, guard: copies.watch(id) };
    });
    const nears = near.ask(
      wanted.map(({ request }) => request),
      budgetMs,
      lead === near,
    );
    const askFar = (missing: readonly Wanted[]): ReadonlyMap<Wanted, Asked> => {
      const fars = far.ask(
        missing.map(({ request }) => request),
        budgetMs - (clock.now() - startedAt),
        lead === far,
      );
      for (const { entry } of fars) entry.catch(ignore);
      return new Map(missing.map((each, i) => [each, fars[i]!]));
    };
    let asked = plan.read === "sequential" ? undefined : Promise.resolve(askFar(wanted));
    const askMissing = async (): Promise<ReadonlyMap<Wanted, Asked>> => {
      const outcomes = await Promise.allSettled(nears.map(({ entry }) => entry));
      return askFar(wanted.filter((each, i) => !this.#answersAlone(each, valueOf(outcomes[i]!))));
    };
    return wanted.map((each, i) =>
      this.#found(each, nears[i]!, async () => (await (asked ??= askMissing())).get(each)!).catch((error: unknown) => {
        copies.unwatch(each.guard);
        throw error;
      }),
    );
  }

  /** Holds entries against the tag versions, which are read once for all of them; the outermost tier's way, where there is one. */
  judgeOf(request: PartRequest): Judge | undefined {
    const { versions, clock } = this.#of;
    if (request.judge !== undefined || versions === undefined) return request.judge;
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

  #judged(requests: readonly PartRequest[]): readonly PartRequest[] {
    const judge = requests[0] && this.judgeOf(requests[0]);
    return requests.map((request) => partOf(request, request.judge ?? judge));
  }

  /** Rejects only when both failed, with both causes. */
  async #found(wanted: Wanted, near: Asked, askFar: () => Promise<Asked>): Read {
    const { copies, plan, goOn } = this.#of;
    const { entry, isFar } = await this.#choose(wanted, near, askFar);
    if (isFar && this.#isFresh(entry) && entry.isUnconfirmed !== true && plan.refill === "always")
      goOn(this.#refill(entry, wanted, near).finally(() => copies.unwatch(wanted.guard)));
    else copies.unwatch(wanted.guard);
    return entry;
  }

  async #choose(wanted: Wanted, near: Asked, askFar: () => Promise<Asked>): Promise<Choice> {
    switch (this.#of.plan.read) {
      case "sequential": {
        const first = await settle(near.entry);
        const entry = valueOf(first);
        return this.#answersAlone(wanted, entry)
          ? this.#alone(wanted, entry)
          : this.#decide(wanted, first, await askFar());
      }
      case "race": {
        const far = await askFar();
        const choices = [
          near.entry.then((entry): Choice | undefined =>
            this.#answersAlone(wanted, entry) ? this.#alone(wanted, entry) : undefined,
          ),
          far.entry.then((entry): Choice | undefined => (this.#isFresh(entry) ? { entry, isFar: true } : undefined)),
        ];
        return (await first(choices)) ?? this.#decide(wanted, await settle(near.entry), far);
      }
      case "freshest": {
        const far = await askFar();
        return this.#decide(wanted, await settle(near.entry), far);
      }
    }
  }

  #answersAlone({ id, request }: Wanted, entry: Entry | undefined): entry is Entry {
    return this.#isFresh(entry) && request.isAfter !== true && this.#of.copies.answersAlone(id, entry);
  }

  /** The same write in both: the version of one is that of the other. */
  #alone({ request }: Wanted, entry: Entry): Choice {
    const { lead, far } = this.#of;
    if (lead === far && isTelling(entry.version)) request.saw?.(entry.version);
    return { entry, isFar: false };
  }

  /** What both make of it. */
  async #decide(wanted: Wanted, near: Outcome, farAsked: Asked): Promise<Choice> {
    const { copies } = this.#of;
    const { id, guard, request } = wanted;
    const far = await settle(farAsked.entry);
    this.#of.answered([near, far]);
    const [held, found] = [valueOf(near), valueOf(far)];
    const isAfter = request.isAfter === true;
    if (far.status === "rejected" || farAsked.isHidden || found?.isUnconfirmed === true) {
      // What was written elsewhere can be neither here nor there.
      if (isAfter || held === undefined || !copies.canServeOnError(id, held)) return { entry: found, isFar: true };
      return this.#better(
        copies.isProving && !copies.answersAlone(id, held) ? { ...held, isUnconfirmed: true } : held,
        found,
      );
    }
    if (held === undefined) return { entry: found, isFar: true };
    if (!copies.isProving && !isAfter)
      return copies.answersAlone(id, held) ? this.#better(held, found) : { entry: found, isFar: true };
    if (!this.#isSameWrite(id, held, farAsked.version)) {
      if (copies.isProving && copies.isUntainted(guard)) copies.overtake(id);
      return { entry: found, isFar: true };
    }
    copies.prove(guard, { key: request.key, version: farAsked.version });
    return this.#better(held, found);
  }

  #isSameWrite(id: string, held: Entry, farVersion: string | undefined): boolean {
    return (
      this.#of.far.tier.leases !== undefined &&
      isTelling(farVersion) &&
      this.#of.copies.versionOf(id, held) === farVersion
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

  /** Copies what was found in `far` to `near`, unless it is there by now, or something newer has happened. */
  async #refill(entry: Entry, { id, request: { key }, guard }: Wanted, nearAsked: Asked): Promise<void> {
    const { near, copies, changes, events, cache } = this.#of;
    const { tier, recovery } = near;
    const held = valueOf(await settle(nearAsked.entry));
    if (
      this.#isFresh(held) &&
      (copies.isProving
        ? this.#isSameWrite(id, held, entry.version)
        : this.#lastsAsLong(held, entry) && copies.answersAlone(id, held))
    )
      return copies.prove(guard, { key, version: copies.versionOf(id, held) });
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
    if (!copies.isUntainted(guard) || changes.has(id)) return;
    const copy = this.nearCopy(
      isTelling(entry.version) || tier.leases === undefined ? entry : { ...entry, version: newId() },
    );
    await changes.run(id, async () => {
      const status = await tier.write(key, { entry: copy, encoded, versions: entry.versions });
      if (status === "stored") copies.written(guard, { key, version: copy.version }, true);
    });
    recovery.forgetKey(key);
  }

  /** Copies of one write differ by what a trip takes. */
  #lastsAsLong(held: Entry, entry: Entry): boolean {
    return endOf(held) + this.#of.deadlineMs >= endOf(entry);
  }

  /** As it is kept in `near`: no longer than `nearTtl`. */
  nearCopy(entry: Entry): Entry {
    const until = this.#of.clock.now() + this.#of.plan.nearTtlMs;
    return entry.expiresAt <= until ? entry : { ...entry, expiresAt: until, deadAt: until };
  }

  #isFresh(entry: Entry | undefined): entry is Entry {
    if (entry === undefined) return false;
    const now = this.#of.clock.now();
    return now < entry.staleAt && now < entry.deadAt;
  }
}

const valueOf = (outcome: Outcome): Entry | undefined => (outcome.status === "fulfilled" ? outcome.value : undefined);
const ignore = (): undefined => undefined;

/** Where the life of the entry ends, also of a copy that ends earlier. */
const endOf = (entry: Entry): number => entry.staleAt + Math.max(entry.staleWhileRevalidateMs, entry.staleIfErrorMs);

/** The first that there is; `undefined` when there is none. */
function first<T>(works: readonly Promise<T | undefined>[]): Promise<T | undefined> {
  return Promise.any(works.map(async (work) => (await work) ?? Promise.reject(NONE))).catch(ignore);
}

const NONE = new Error("none");
