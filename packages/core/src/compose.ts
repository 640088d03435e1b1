import type { Backend, DeleteStatus, TagVersion, TagVersions } from "./backend.ts";
import type { Clock } from "./clock.ts";
import type { Encoded } from "./codec.ts";
import { describe, toMs, type Duration } from "./duration.ts";
import type { Entry } from "./entry.ts";
import { BackendUnavailableError, ConfigurationError } from "./errors.ts";
import type { Events } from "./events.ts";
import { Flights, Guard } from "./flights.ts";
import { dependencies, type Place } from "./key.ts";
import { whenReady, type Awaitable } from "./once.ts";
import { checkOptions } from "./policy.ts";
import { Recovery } from "./recovery.ts";
import { RemoteTier, type EntryTier, type ReadRequest } from "./remote-tier.ts";
import { TierMeter } from "./stats.ts";
import { underVersions } from "./tags.ts";
import { Chains } from "./chains.ts";

export interface ComposeOptions {
  /** @default near.label + '+' + far.label */
  readonly label?: string;
  /** `race`: the first hit wins. `freshest`: the longest remaining life wins. @default 'sequential' */
  readonly read?: "sequential" | "race" | "freshest";
  /** Fails only when both fail, with both causes. @default 'parallel' */
  readonly write?: "sequential" | "parallel" | "race";
  /** Whether a fresh hit in `far` is copied to `near` with its remaining life. @default 'always' */
  readonly refill?: "always" | "never";
  /** The most a copy in `near` may live. Must be given where `far` has no coherence. @default Infinity */
  readonly nearTtl?: Duration;
}

const COMPOSED: unique symbol = Symbol("hotset.composed");

/** Two backends as one tier. It speaks entries, not bytes: each backend keeps its own format and compressor, and bytes are made once where both agree. */
export interface ComposedBackend {
  readonly label: string;
  readonly [COMPOSED]: true;
}

interface Composition extends ComposedBackend {
  readonly near: Backend | ComposedBackend;
  readonly far: Backend | ComposedBackend;
  readonly read: NonNullable<ComposeOptions["read"]>;
  readonly write: NonNullable<ComposeOptions["write"]>;
  readonly refill: NonNullable<ComposeOptions["refill"]>;
  readonly nearTtlMs: number;
}

/**
 * Two backends as one, and so on. Tag versions are those of `far` where it issues them, else of `near` where that does.
 *
 * A read is won by the first fresh hit, never by the first answer; a stale copy in `near` does not hide a fresh one in
 * `far`. A removal that not both acknowledged is `pending`. A write succeeds when one of the two took it: what the
 * other may still hold is removed there before it is read again.
 *
 * @throws {ConfigurationError} for an option out of range, and when `far` has no coherence and `nearTtl` is not given.
 */
export function compose(near: Backend | ComposedBackend, far: Backend | ComposedBackend, options: ComposeOptions = {}): ComposedBackend {
  try {
    checkOptions(options, OPTIONS);
  } catch (cause) {
    throw new ConfigurationError(`compose: ${(cause as Error).message}`, { cause });
  }
  for (const [name, side] of [["near", near], ["far", far]] as const)
    if (!isComposed(side) && typeof side?.read !== "function")
      throw new ConfigurationError(`compose: ${name} is ${describe(side)}; give a backend, such as redis(url).build()`);
  const { read = "sequential", write = "parallel", refill = "always" } = options;
  oneOf("read", read, ["sequential", "race", "freshest"]);
  oneOf("write", write, ["sequential", "parallel", "race"]);
  oneOf("refill", refill, ["always", "never"]);
  if (options.nearTtl === undefined && !isOnlyWriter(far))
    throw new ConfigurationError(`nearTtl: ${far.label} does not tell what others change, so give nearTtl: how stale a copy in ${near.label} may be`);
  const composition: Composition = {
    label: options.label ?? `${near.label}+${far.label}`,
    [COMPOSED]: true,
    near,
    far,
    read,
    write,
    refill,
    nearTtlMs: nearTtlMs(options.nearTtl),
  };
  return Object.freeze(composition);
}

/** The backends that it is made of. */
export function leaves(backend: Backend | ComposedBackend): readonly Backend[] {
  if (!isComposed(backend)) return [backend];
  const { near, far } = backend as Composition;
  return [...leaves(near), ...leaves(far)];
}

/** Whether nobody else changes what is stored there. */
export const isOnlyWriter = (backend: Backend | ComposedBackend): boolean => leaves(backend).every(({ coherence }) => coherence === "sole-writer");

export const isComposed = (backend: Backend | ComposedBackend): backend is ComposedBackend => (backend as Partial<ComposedBackend> | undefined)?.[COMPOSED] === true;

/** The tier over a backend, or over a composition of them. */
export function entryTier(backend: Backend | ComposedBackend, clock: Clock, events: Events, cache: string, root: Place, isPart = false): EntryTier {
  if (!isComposed(backend)) return new RemoteTier(backend, clock, events, cache, isPart);
  const composition = backend as Composition;
  const near = entryTier(composition.near, clock, events, cache, root, true);
  const far = entryTier(composition.far, clock, events, cache, root, true);
  return new ComposedTier(composition, near, far, { clock, events, cache, root, isPart });
}

/** One of the two, and what it may still hold although it should not. */
interface Side {
  readonly tier: EntryTier;
  readonly recovery: Recovery;
}

class ComposedTier implements EntryTier {
  readonly label: string;
  readonly deadlineMs: number;
  readonly keepsMeta: boolean;
  readonly versions: TagVersions | undefined;
  readonly issuesVersions: boolean;
  readonly codecId: string;
  readonly meter: TierMeter = new TierMeter();
  readonly #plan: Composition;
  readonly #near: Side;
  readonly #far: Side;
  readonly #clock: Clock;
  /** Whether it judges tag versions itself, or is part of a composition that does. */
  readonly #judges: boolean;
  /** Refills under way: what was changed meanwhile must not come back into `near`. */
  readonly #refills = new Flights();
  readonly #nearWrites = new Chains();
  readonly #behind = new Set<Promise<unknown>>();

  constructor(plan: Composition, near: EntryTier, far: EntryTier, parts: { clock: Clock; events: Events; cache: string; root: Place; isPart: boolean }) {
    const side = (tier: EntryTier): Side => ({ tier, recovery: new Recovery({ remote: tier, ...parts, replayed: () => {} }) });
    const source = far.issuesVersions || !near.issuesVersions ? far : near;
    this.label = plan.label;
    this.deadlineMs = plan.read === "sequential" ? near.deadlineMs + far.deadlineMs : Math.max(near.deadlineMs, far.deadlineMs);
    this.keepsMeta = near.keepsMeta && far.keepsMeta;
    this.versions = this.keepsMeta ? source.versions : undefined;
    this.issuesVersions = source.issuesVersions;
    this.codecId = `${near.codecId}/${far.codecId}`;
    this.#plan = plan;
    this.#near = side(near);
    this.#far = side(far);
    this.#clock = parts.clock;
    this.#judges = !parts.isPart && this.versions !== undefined;
  }

  get isAway(): boolean {
    return this.#near.tier.isAway && this.#far.tier.isAway;
  }

  get retryInMs(): number {
    return Math.min(this.#near.tier.retryInMs, this.#far.tier.retryInMs);
  }

  read(request: ReadRequest, budgetMs: number): Promise<Entry | undefined> {
    const near = this.#ask(this.#near, request, budgetMs);
    const ask = (): Promise<Entry | undefined> => this.#ask(this.#far, request, budgetMs);
    return this.#judged(request, this.#found(request, near, this.#plan.read === "sequential" ? ask : constant(ask())));
  }

  /** One trip to `near`; one to `far` for all that it lacks. */
  readMany(requests: readonly ReadRequest[], budgetMs: number): readonly Promise<Entry | undefined>[] {
    const nears = this.#askMany(this.#near, requests, budgetMs);
    let asked: readonly ReadRequest[] | undefined;
    let fars: readonly Promise<Entry | undefined>[] = [];
    const askAll = async (): Promise<void> => {
      const settled = await Promise.allSettled(nears);
      asked ??= requests.filter((_, i) => !this.#isFresh(valueOf(settled[i]!)));
      if (fars.length === 0 && asked.length !== 0) fars = this.#askMany(this.#far, asked, budgetMs);
    };
    if (this.#plan.read !== "sequential") {
      asked = requests;
      fars = this.#askMany(this.#far, requests, budgetMs);
    }
    return requests.map((request, i) => {
      const ask = async (): Promise<Entry | undefined> => {
        if (this.#plan.read === "sequential") await askAll();
        return fars[asked!.indexOf(request)];
      };
      return this.#judged(request, this.#found(request, nears[i]!, ask));
    });
  }

  encode(value: unknown): Awaitable<Encoded> {
    const { tier: near } = this.#near;
    const { tier: far } = this.#far;
    return whenReady(near.encode(value), (encoded) =>
      near.codecId === far.codecId ? encoded : whenReady(far.encode(value), (other): Encoded => ({ ...encoded, far: other })));
  }

  async write(entry: Entry, encoded: Encoded, versions: readonly TagVersion[] | undefined, key: string, place: Place): Promise<"stored" | "refused"> {
    const id = place.backendPrefix + key;
    this.#refills.fence(id, "set");
    const near = (): Promise<"stored" | "refused"> =>
      this.#nearWrites.run(id, () => this.#written(this.#near, place, key, () => this.#near.tier.write(this.#nearCopy(entry), encoded, versions, key, place)));
    const far = (): Promise<"stored" | "refused"> =>
      this.#written(this.#far, place, key, () => this.#far.tier.write(entry, encoded.far ?? encoded, versions, key, place));
    const outcomes = await this.#write(near, far);
    this.#refills.fence(id, "set");
    return outcomes.includes("stored") ? "stored" : "refused";
  }

  async remove(key: string, place: Place): Promise<DeleteStatus> {
    const outcomes = await this.#both("remove", key, place, (tier) => tier.remove(key, place));
    return outcomes.includes("deleted") ? "deleted" : "missing";
  }

  async markStale(key: string, place: Place): Promise<"stale" | "missing"> {
    const outcomes = await this.#both("markStale", key, place, (tier) => tier.markStale(key, place));
    return outcomes.includes("stale") ? "stale" : "missing";
  }

  /** One that connects is enough to start with. */
  async connect(): Promise<void> {
    await this.#oneOf("connect", [this.#near.tier.connect(), this.#far.tier.connect()]);
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#behind);
    for (const { recovery } of [this.#near, this.#far]) recovery.stop();
  }

  stats(): ReturnType<EntryTier["stats"]> {
    const parts = [...this.#near.tier.stats(), ...this.#far.tier.stats()];
    const state = parts.find(({ state }) => state === "down")?.state ?? parts[0]!.state;
    return [this.meter.snapshot(this.label, state), ...parts];
  }

  /** What one side has; nothing where it may hold what should not be there. */
  #ask({ tier, recovery }: Side, request: ReadRequest, budgetMs: number): Promise<Entry | undefined> {
    if (recovery.size !== 0 && recovery.covers(request.place, request.key, [])) {
      void recovery.replay();
      return Promise.resolve(undefined);
    }
    return this.#counted(tier, tier.read(request, Math.min(budgetMs, tier.deadlineMs)));
  }

  #askMany(side: Side, requests: readonly ReadRequest[], budgetMs: number): readonly Promise<Entry | undefined>[] {
    if (side.recovery.size !== 0) return requests.map((request) => this.#ask(side, request, budgetMs));
    return side.tier.readMany(requests, Math.min(budgetMs, side.tier.deadlineMs)).map((read) => this.#counted(side.tier, read));
  }

  #counted(tier: EntryTier, read: Promise<Entry | undefined>): Promise<Entry | undefined> {
    read.then((entry) => (entry === undefined ? (tier.meter.misses += 1) : (tier.meter.hits += 1)), ignore);
    return read;
  }

  /** The best of both. Rejects only when both failed, with both causes. */
  async #found(request: ReadRequest, near: Promise<Entry | undefined>, askFar: () => Promise<Entry | undefined>): Promise<Entry | undefined> {
    const id = request.place.backendPrefix + request.key;
    const guard = new Guard();
    this.#refills.add(id, guard);
    let winner: { readonly entry: Entry | undefined; readonly isFar: boolean };
    try {
      switch (this.#plan.read) {
        case "sequential": {
          const first = await settle(near);
          winner = this.#isFresh(valueOf(first)) ? { entry: valueOf(first), isFar: false } : this.#better(first, await settle(askFar()));
          break;
        }
        case "race": {
          const far = askFar();
          const first = await Promise.any([this.#freshOnly(near, false), this.#freshOnly(far, true)]).catch(ignore);
          winner = first ?? this.#better(await settle(near), await settle(far));
          break;
        }
        case "freshest": {
          const [first, second] = await Promise.all([settle(near), settle(askFar())]);
          winner = this.#better(first, second);
        }
      }
    } catch (error) {
      this.#refills.remove(id, guard);
      throw error;
    }
    const refill = winner.isFar && this.#plan.refill === "always" && this.#isFresh(winner.entry) ? this.#refill(winner.entry!, request, id, guard) : undefined;
    if (refill === undefined) this.#refills.remove(id, guard);
    else this.#goOn(refill.finally(() => this.#refills.remove(id, guard)));
    return winner.entry;
  }

  /** The one with the longest life left; a tie goes to `near`. */
  #better(near: PromiseSettledResult<Entry | undefined>, far: PromiseSettledResult<Entry | undefined>): { entry: Entry | undefined; isFar: boolean } {
    if (near.status === "rejected" && far.status === "rejected") throw this.#bothFailed("read", near.reason, far.reason);
    const [a, b] = [valueOf(near), valueOf(far)];
    const isFar = b !== undefined && (a === undefined || (this.#isFresh(b) && !this.#isFresh(a)) || (this.#isFresh(a) === this.#isFresh(b) && b.expiresAt > a.expiresAt));
    return { entry: isFar ? b : a, isFar };
  }

  async #freshOnly(read: Promise<Entry | undefined>, isFar: boolean): Promise<{ entry: Entry; isFar: boolean }> {
    const entry = await read;
    if (!this.#isFresh(entry)) throw new Error("no hit");
    return { entry: entry!, isFar };
  }

  async #refill(entry: Entry, request: ReadRequest, id: string, guard: Guard): Promise<void> {
    const { tier } = this.#near;
    const encoded = await tier.encode(entry.value);
    await this.#nearWrites.run(id, async () => {
      if (guard.fencedBy !== undefined) return;
      await this.#written(this.#near, request.place, request.key, () => tier.write(this.#nearCopy(entry), encoded, entry.versions, request.key, request.place));
    });
  }

  /** As it is kept in `near`: no longer than `nearTtl`. */
  #nearCopy(entry: Entry): Entry {
    const until = this.#clock.now() + this.#plan.nearTtlMs;
    return entry.expiresAt <= until ? entry : { ...entry, staleAt: Math.min(entry.staleAt, until), expiresAt: until, deadAt: until };
  }

  /** Where the outcome is unknown, what was there before may be there still: it is removed before that side is read again. */
  async #written(side: Side, place: Place, key: string, write: () => Promise<"stored" | "refused">): Promise<"stored" | "refused"> {
    try {
      const status = await write();
      side.recovery.forgetKey(place, key);
      return status;
    } catch (error) {
      side.recovery.addKey(place, key);
      throw error;
    }
  }

  async #write(near: () => Promise<"stored" | "refused">, far: () => Promise<"stored" | "refused">): Promise<readonly string[]> {
    switch (this.#plan.write) {
      case "sequential": {
        const first = await settle(near());
        const second = await settle(far());
        return this.#succeeded("write", [first, second]);
      }
      case "parallel":
        return this.#succeeded("write", await Promise.allSettled([near(), far()]));
      case "race": {
        const both = [near(), far()];
        this.#goOn(Promise.allSettled(both));
        return [await this.#oneOf("write", both)];
      }
    }
  }

  async #both<T extends string>(operation: string, key: string, place: Place, run: (tier: EntryTier) => Promise<T>): Promise<readonly T[]> {
    const id = place.backendPrefix + key;
    this.#refills.fence(id, "delete");
    const outcomes = await Promise.allSettled([this.#nearWrites.run(id, () => run(this.#near.tier)), run(this.#far.tier)]);
    this.#refills.fence(id, "delete");
    const failed = outcomes.filter((outcome) => outcome.status === "rejected");
    if (failed.length === 2) throw this.#bothFailed(operation, failed[0]!.reason, failed[1]!.reason);
    if (failed.length === 1) throw failed[0]!.reason;
    for (const { recovery } of [this.#near, this.#far]) recovery.forgetKey(place, key);
    return outcomes.map((outcome) => (outcome as PromiseFulfilledResult<T>).value);
  }

  async #oneOf<T>(operation: string, both: readonly Promise<T>[]): Promise<T> {
    try {
      return await Promise.any(both);
    } catch (error) {
      const [near, far] = (error as AggregateError).errors as unknown[];
      throw this.#bothFailed(operation, near, far);
    }
  }

  #succeeded<T>(operation: string, outcomes: readonly PromiseSettledResult<T>[]): readonly T[] {
    const values = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
    if (values.length === 0) throw this.#bothFailed(operation, reasonOf(outcomes[0]!), reasonOf(outcomes[1]!));
    return values;
  }

  #bothFailed(operation: string, near: unknown, far: unknown): BackendUnavailableError {
    return new BackendUnavailableError(`${this.label}: ${operation} failed in both backends; see cause.errors`, {
      tier: this.label,
      operation,
      cause: new AggregateError([near, far], `${operation} failed in both backends`),
    });
  }

  async #judged(request: ReadRequest, read: Promise<Entry | undefined>): Promise<Entry | undefined> {
    if (!this.#judges) return read;
    const expected = dependencies(request.place, request.expectedTags);
    const [entry, found] = await Promise.all([read, this.versions!.read(expected)]);
    return entry && underVersions(entry, expected, found, this.versions!, this.#clock.now());
  }

  #isFresh(entry: Entry | undefined): boolean {
    return entry !== undefined && this.#clock.now() < entry.staleAt;
  }

  /** Goes on behind the answer; a failure was reported by the tier. */
  #goOn(work: Promise<unknown>): void {
    const behind = work.then(ignore, ignore).finally(() => this.#behind.delete(behind));
    this.#behind.add(behind);
  }
}

const OPTIONS = new Set(["label", "read", "write", "refill", "nearTtl"]);
const ignore = (): undefined => undefined;
const constant = <T>(value: T) => (): T => value;
const valueOf = <T>(outcome: PromiseSettledResult<T>): T | undefined => (outcome.status === "fulfilled" ? outcome.value : undefined);
const reasonOf = (outcome: PromiseSettledResult<unknown>): unknown => (outcome.status === "rejected" ? outcome.reason : undefined);

async function settle<T>(work: Promise<T>): Promise<PromiseSettledResult<T>> {
  const [outcome] = await Promise.allSettled([work]);
  return outcome;
}

function oneOf(option: string, given: string, accepted: readonly string[]): void {
  if (!accepted.includes(given)) throw new ConfigurationError(`${option}: ${describe(given)} is unknown; give ${accepted.join(", ")}`);
}

function nearTtlMs(given: Duration | undefined): number {
  if (given === undefined) return Infinity;
  const ms = toMs("nearTtl", given);
  if (ms <= 0) throw new ConfigurationError(`nearTtl: ${describe(given)} is too short; give more than 0`);
  return ms;
}
