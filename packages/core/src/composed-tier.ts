import type { Backend, DeleteStatus, TagVersion, TagVersions } from "./backend.ts";
import { Chains } from "./chains.ts";
import type { Clock } from "./clock.ts";
import type { Encoded } from "./codec.ts";
import type { Entry } from "./entry.ts";
import { BackendUnavailableError, EncodeError, type CacheError } from "./errors.ts";
import type { Events } from "./events.ts";
import { Flights, Guard } from "./flights.ts";
import { dependencies, type Place } from "./key.ts";
import { whenReady, type Awaitable } from "./once.ts";
import { Recovery } from "./recovery.ts";
import type { EntryTier, News, ReadRequest } from "./entry-tier.ts";
import { TierMeter } from "./stats.ts";
import { underVersions } from "./tags.ts";
import { Trust } from "./trust.ts";

/** The options of a composition, resolved. */
export interface CompositionPlan {
  readonly label: string;
  readonly read: "sequential" | "race" | "freshest";
  readonly write: "sequential" | "parallel" | "race";
  readonly refill: "always" | "never";
  readonly nearTtlMs: number;
}

/** One of the two, and what it may hold that must not be served. */
interface Side {
  readonly tier: EntryTier;
  /** Keys whose last write it did not take although the other side did: to be removed here. */
  readonly recovery: Recovery;
  /** Keys whose last write it has not answered yet although the other side took it. */
  readonly late: Set<string>;
}

/** A read within a composition, whose outermost tier says how entries are held against the tag versions. */
interface PartRequest extends ReadRequest {
  readonly judge?: (entry: Entry) => Promise<Entry | undefined>;
}

type Read = Promise<Entry | undefined>;
type WriteStatus = "stored" | "refused";

/**
 * Two tiers as one.
 *
 * Changes of one key go to both sides one after another: the next is sent when both have settled the one before, also
 * where a race was answered earlier. A write that one side took succeeds; the other side is not asked for that key until
 * it has taken the write too, or what it holds was removed. What is copied to `near` was read while nothing changed.
 */
export class ComposedTier implements EntryTier {
  readonly label: string;
  readonly deadlineMs: number;
  readonly keepsMeta: boolean;
  readonly versions: TagVersions | undefined;
  readonly leases: undefined;
  readonly codecId: string;
  readonly meter: TierMeter = new TierMeter();
  readonly #plan: CompositionPlan;
  readonly #near: Side;
  readonly #far: Side;
  readonly #clock: Clock;
  readonly #events: Events;
  readonly #cache: string;
  /** Versions that entries are held against, also where not both sides have room for them: others may write entries that have some. */
  readonly #judgedBy: TagVersions | undefined;
  readonly #hasOneCodec: boolean;
  /** What was read, and may be copied to `near`. */
  readonly #refills = new Flights(new Trust());
  readonly #changes = new Chains();
  readonly #behind = new Set<Promise<unknown>>();

  /** @param parts `versions` are those of the whole composition, in which this one may be nested. */
  constructor(
    plan: CompositionPlan,
    near: EntryTier,
    far: EntryTier,
    parts: { readonly clock: Clock; readonly events: Events; readonly cache: string; readonly root: Place; readonly versions: TagVersions | undefined },
  ) {
    const { clock, events, cache, root, versions } = parts;
    const side = (tier: EntryTier): Side => ({
      tier,
      recovery: new Recovery({ remote: replayedIn(tier, root, versions), clock, events, cache, root, replayed: ignore }),
      late: new Set(),
    });
    this.label = plan.label;
    this.deadlineMs = plan.read === "sequential" ? near.deadlineMs + far.deadlineMs : Math.max(near.deadlineMs, far.deadlineMs);
    this.keepsMeta = near.keepsMeta && far.keepsMeta;
    this.versions = this.keepsMeta ? versions : undefined;
    this.#hasOneCodec = near.codecId === far.codecId;
    this.codecId = this.#hasOneCodec ? near.codecId : `(${near.codecId} ${far.codecId})`;
    this.#plan = plan;
    this.#near = side(near);
    this.#far = side(far);
    this.#clock = clock;
    this.#events = events;
    this.#cache = cache;
    this.#judgedBy = versions;
  }

  get retryInMs(): number {
    return Math.min(this.#near.tier.retryInMs, this.#far.tier.retryInMs);
  }

  get pending(): number {
    return [this.#near, this.#far].reduce((sum, { tier, recovery }) => sum + tier.pending + recovery.size, 0);
  }

  // ---- reading

  read(request: ReadRequest, budgetMs: number): Read {
    return this.readMany([request], budgetMs)[0]!;
  }

  /** One trip to `near`, and one to `far` for what it lacks. */
  readMany(requests: readonly ReadRequest[], budgetMs: number): readonly Read[] {
    const startedAt = this.#clock.now();
    const judged = this.#judged(requests);
    const nears = this.#ask(this.#near, judged, budgetMs);
    const askFar = (missing: readonly PartRequest[]): ReadonlyMap<PartRequest, Read> => {
      const fars = this.#ask(this.#far, missing, budgetMs - (this.#clock.now() - startedAt));
      for (const far of fars) far.catch(ignore);
      return new Map(missing.map((request, i) => [request, fars[i]!]));
    };
    let asked = this.#plan.read === "sequential" ? undefined : Promise.resolve(askFar(judged));
    const askMissing = async (): Promise<ReadonlyMap<PartRequest, Read>> => {
      const outcomes = await Promise.allSettled(nears);
      return askFar(judged.filter((_, i) => !this.#isFresh(valueOf(outcomes[i]!))));
    };
    return judged.map((request, i) =>
      this.#timed("read", this.#found(request, nears[i]!, async () => (await (asked ??= askMissing())).get(request))));
  }

  /** The requests with what holds entries against the tag versions, which are read once for all of them; as they are where an outer tier has done so. */
  #judged(requests: readonly PartRequest[]): readonly PartRequest[] {
    const source = this.#judgedBy;
    const [first] = requests;
    if (source === undefined || first === undefined || first.judge !== undefined) return requests;
    const expected = dependencies(first.place, first.expectedTags);
    const current = source.read(expected);
    current.catch(ignore);
    const judge = async (entry: Entry): Read =>
      entry.versions === undefined ? entry : underVersions(entry, expected, await current, source, this.#clock);
    return requests.map(({ place, key, schema, expectedTags, tagsAt }) => ({ place, key, schema, expectedTags, tagsAt, judge }));
  }

  /** What one side has; nothing for keys of which it may hold something older. */
  #ask({ tier, recovery, late }: Side, requests: readonly PartRequest[], budgetMs: number): readonly Read[] {
    const isHidden = requests.map(({ place, key }) =>
      late.has(idOf(place, key)) || (recovery.size !== 0 && recovery.covers(place, key, place.tagPrefixes)));
    if (recovery.size !== 0 && isHidden.includes(true)) void recovery.replay();
    const reads = tier.readMany(requests.filter((_, i) => !isHidden[i]), Math.min(budgetMs, tier.deadlineMs)).values();
    const judges = !(tier instanceof ComposedTier);
    return requests.map(async ({ judge }, i) => {
      const found = isHidden[i] ? undefined : await reads.next().value;
      const entry = found !== undefined && judges && judge !== undefined ? await judge(found) : found;
      tier.meter[entry === undefined ? "misses" : "hits"] += 1;
      return entry;
    });
  }

  /** The best of both. Rejects only when both failed, with both causes. */
  async #found(request: PartRequest, near: Read, askFar: () => Read): Read {
    const id = idOf(request.place, request.key);
    const guard = new Guard();
    if (this.#changes.has(id)) guard.fencedBy = "set";
    this.#refills.add(id, guard);
    let refill: Promise<void> | undefined;
    try {
      const { entry, isFar } = await this.#choose(near, askFar);
      if (isFar && this.#isFresh(entry) && this.#plan.refill === "always") refill = this.#refill(entry, request, near, guard);
      return entry;
    } finally {
      if (refill === undefined) this.#refills.remove(guard);
      else this.#goOn(refill.finally(() => this.#refills.remove(guard)));
    }
  }

  async #choose(near: Read, askFar: () => Read): Promise<Choice> {
    switch (this.#plan.read) {
      case "sequential": {
        const first = await settle(near);
        const entry = valueOf(first);
        return this.#isFresh(entry) ? { entry, isFar: false } : this.#better(first, await settle(askFar()));
      }
      case "race": {
        const far = askFar();
        const choices = [near.then((entry) => ({ entry, isFar: false })), far.then((entry) => ({ entry, isFar: true }))];
        return (await firstAccepted(choices, ({ entry }) => this.#isFresh(entry))) ?? this.#better(await settle(near), await settle(far));
      }
      case "freshest": {
        const [first, second] = await Promise.all([settle(near), settle(askFar())]);
        return this.#better(first, second);
      }
    }
  }

  /** Fresh before stale, then the longer life; a tie goes to `near`. */
  #better(near: PromiseSettledResult<Entry | undefined>, far: PromiseSettledResult<Entry | undefined>): Choice {
    this.#answered("read", [near, far]);
    const [a, b] = [valueOf(near), valueOf(far)];
    const isFar = b !== undefined && (a === undefined || (this.#isFresh(a) === this.#isFresh(b) ? endOf(b) > endOf(a) : this.#isFresh(b)));
    return { entry: isFar ? b : a, isFar };
  }

  /** Copies what was found in `far` to `near`, unless it is there by now, or something newer has happened. */
  async #refill(entry: Entry, { place, key }: PartRequest, near: Read, guard: Guard): Promise<void> {
    const { tier, recovery } = this.#near;
    const id = idOf(place, key);
    const held = valueOf(await settle(near));
    // Copies of one write differ by what a trip takes.
    if (this.#isFresh(held) && endOf(held) + this.deadlineMs >= endOf(entry)) return;
    let encoded: Encoded;
    try {
      encoded = await tier.encode(entry.value);
    } catch (error) {
      this.#events["backend:error"].emit({ cache: this.#cache, namespace: place.path, tier: tier.label, operation: "encode", error: error as CacheError });
      return;
    }
    if (guard.fencedBy !== undefined || this.#changes.has(id)) return;
    await this.#changes.run(id, () => tier.write(this.#nearCopy(entry), encoded, entry.versions, key, place));
    recovery.forgetKey(place, key);
  }

  // ---- changing

  encode(value: unknown): Awaitable<Encoded> {
    return whenReady(this.#near.tier.encode(value), (near) =>
      this.#hasOneCodec ? near : whenReady(this.#far.tier.encode(value), (far): Encoded => ({ ...near, parts: [near, far] })));
  }

  write(entry: Entry, encoded: Encoded, versions: readonly TagVersion[] | undefined, key: string, place: Place): Promise<WriteStatus> {
    const [ofNear, ofFar] = this.#hasOneCodec ? [encoded, encoded] : encoded.parts!;
    const summed = (outcomes: readonly [PromiseSettledResult<WriteStatus>, PromiseSettledResult<WriteStatus>]): WriteStatus =>
      this.#answered("write", outcomes).includes("stored") ? "stored" : "refused";
    return this.#timed("write", this.#change(place, key, () => {
      const track = this.#tracker(place, key);
      const near = track(this.#near, this.#near.tier.write(this.#nearCopy(entry), ofNear, versions, key, place));
      const sendFar = (): Promise<WriteStatus> => track(this.#far, this.#far.tier.write(entry, ofFar, versions, key, place));
      const far = this.#plan.write === "sequential" ? near.then(sendFar, sendFar) : sendFar();
      const both = Promise.allSettled([near, far]);
      const isStored = (status: WriteStatus): boolean => status === "stored";
      const answer = this.#plan.write === "race" ? firstAccepted([near, far], isStored).then(async (status) => status ?? summed(await both)) : both.then(summed);
      return [answer, both];
    }));
  }

  /** Keeps account of one write: where one side takes it, the other is hidden until it has taken it too, or is to be removed. */
  #tracker(place: Place, key: string): <T>(side: Side, sent: Promise<T>) => Promise<T> {
    const id = idOf(place, key);
    let taken = false;
    let failed: Side | undefined;
    return (side, sent) =>
      sent.then(
        (status) => {
          const other = side === this.#near ? this.#far : this.#near;
          side.recovery.forgetKey(place, key);
          if (failed !== undefined) other.recovery.addKey(place, key);
          else if (!taken) other.late.add(id);
          side.late.delete(id);
          taken = true;
          return status;
        },
        (error: unknown) => {
          if (taken) side.recovery.addKey(place, key);
          side.late.delete(id);
          failed = side;
          throw error;
        },
      );
  }

  async remove(key: string, place: Place): Promise<DeleteStatus> {
    const found = await this.#timed("remove", this.#both("remove", place, key, async ({ tier, recovery }) => {
      const status = await tier.remove(key, place);
      recovery.forgetKey(place, key);
      return status;
    }));
    return found.includes("deleted") ? "deleted" : "missing";
  }

  /** Where something older waits to be removed, that is done: it must not come back as stale. */
  async markStale(key: string, place: Place): Promise<"stale" | "missing"> {
    const found = await this.#both("markStale", place, key, async ({ tier, recovery }) => {
      if (!recovery.covers(place, key, place.tagPrefixes)) return tier.markStale(key, place);
      await tier.remove(key, place);
      recovery.forgetKey(place, key);
      return "missing";
    });
    return found.includes("stale") ? "stale" : "missing";
  }

  /** What both have acknowledged. Rejects when one has not. */
  async #both<T>(operation: string, place: Place, key: string, run: (side: Side) => Promise<T>): Promise<readonly T[]> {
    const outcomes = await this.#change(place, key, () => {
      const both = Promise.allSettled([run(this.#near), run(this.#far)]);
      return [both, both];
    });
    const values = this.#answered(operation, outcomes);
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
    return values;
  }

  /** Runs one change of a key after those before it, and keeps out of `near` what was read before or while it runs. */
  #change<T>(place: Place, key: string, begin: () => readonly [answer: Promise<T>, settled: Promise<unknown>]): Promise<T> {
    const id = idOf(place, key);
    this.#refills.fence(id, "set");
    return new Promise((resolve) => {
      this.#goOn(this.#changes.run(id, () => {
        const [answer, settled] = begin();
        resolve(answer);
        return settled;
      }));
    });
  }

  /** As it is kept in `near`: no longer than `nearTtl`. */
  #nearCopy(entry: Entry): Entry {
    const until = this.#clock.now() + this.#plan.nearTtlMs;
    return entry.expiresAt <= until ? entry : { ...entry, expiresAt: until, deadAt: until };
  }

  // ---- its life

  /** One that connects is enough to start with. */
  async connect(): Promise<void> {
    this.#answered("connect", await Promise.allSettled([this.#near.tier.connect(), this.#far.tier.connect()]));
  }

  heard(backend: Backend, news: News): void {
    for (const { tier } of [this.#near, this.#far]) tier.heard(backend, news);
  }

  async settled(): Promise<void> {
    while (this.#behind.size !== 0) await Promise.all(this.#behind);
    await Promise.all([this.#near, this.#far].map(async ({ tier, recovery }) => {
      if (recovery.size !== 0) await recovery.replay();
      await tier.settled();
    }));
  }

  stop(): void {
    for (const { tier, recovery } of [this.#near, this.#far]) {
      recovery.stop();
      tier.stop();
    }
  }

  stats(): ReturnType<EntryTier["stats"]> {
    const [near, far] = [this.#near.tier.stats(), this.#far.tier.stats()];
    const states = [near[0]!.state, far[0]!.state];
    const state = states.find((each) => each === "up") ?? states.find((each) => each !== "down") ?? "down";
    return [this.meter.snapshot(this.label, state), ...near, ...far];
  }

  // ---- what both sides say

  /** What was answered. Throws when both failed, with both causes; what neither can encode is said as it is. */
  #answered<T>(operation: string, outcomes: readonly [PromiseSettledResult<T>, PromiseSettledResult<T>]): readonly T[] {
    const values = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
    if (values.length !== 0) return values;
    const causes = outcomes.map((outcome) => (outcome as PromiseRejectedResult).reason as unknown);
    const unwritable = causes.find((cause) => cause instanceof EncodeError);
    if (unwritable !== undefined) throw unwritable;
    this.meter.errors += 1;
    throw new BackendUnavailableError(`${this.label}: ${operation} failed in both backends; see cause.errors`, {
      tier: this.label,
      operation,
      retryable: causes.some((cause) => !(cause instanceof BackendUnavailableError) || cause.retryable),
      maybeExecuted: causes.some((cause) => !(cause instanceof BackendUnavailableError) || cause.maybeExecuted),
      cause: new AggregateError(causes, `${operation} failed in both backends`),
    });
  }

  #isFresh(entry: Entry | undefined): entry is Entry {
    if (entry === undefined) return false;
    const now = this.#clock.now();
    return now < entry.staleAt && now < entry.deadAt;
  }

  #timed<T>(operation: "read" | "write" | "remove", work: Promise<T>): Promise<T> {
    const startedAt = this.#clock.now();
    work.then(() => this.meter[operation].record(this.#clock.now() - startedAt), ignore);
    return work;
  }

  /** Goes on behind the answer; a failure was reported by the tier. */
  #goOn(work: Promise<unknown>): void {
    const behind: Promise<unknown> = work.then(ignore, ignore).then(() => this.#behind.delete(behind));
    this.#behind.add(behind);
  }
}

interface Choice {
  readonly entry: Entry | undefined;
  readonly isFar: boolean;
}

/**
 * A side as its recovery sees it. What is too much to remember key by key ends as new versions for all keys of both
 * sides: that waits until this side answers, since until then nobody reads it, and its next outage would do the same again.
 */
function replayedIn(tier: EntryTier, root: Place, versions: TagVersions | undefined): ConstructorParameters<typeof Recovery>[0]["remote"] {
  const nothing: ReadRequest = { place: root, key: "", schema: undefined, expectedTags: [], tagsAt: 0 };
  return {
    label: tier.label,
    get retryInMs() {
      return tier.retryInMs;
    },
    remove: (key, place) => tier.remove(key, place),
    versions: versions && {
      renew: async (keys, mode) => {
        await tier.read(nothing, tier.deadlineMs);
        await versions.renew(keys, mode);
      },
    },
  };
}

const idOf = (place: Place, key: string): string => place.backendPrefix + key;
const ignore = (): undefined => undefined;
const valueOf = <T>(outcome: PromiseSettledResult<T>): T | undefined => (outcome.status === "fulfilled" ? outcome.value : undefined);

/** Where the life of the entry ends, also of a copy that ends earlier. */
const endOf = (entry: Entry): number => entry.staleAt + Math.max(entry.staleWhileRevalidateMs, entry.staleIfErrorMs);

async function settle<T>(work: Promise<T>): Promise<PromiseSettledResult<T>> {
  const [outcome] = await Promise.allSettled([work]);
  return outcome;
}

/** The first that is accepted; `undefined` when none is. */
function firstAccepted<T>(works: readonly Promise<T>[], isAccepted: (value: T) => boolean): Promise<T | undefined> {
  const accepted = works.map(async (work) => {
    const value = await work;
    if (!isAccepted(value)) throw NOT_ACCEPTED;
    return value;
  });
  return Promise.any(accepted).catch(ignore);
}

const NOT_ACCEPTED = new Error("not accepted");
