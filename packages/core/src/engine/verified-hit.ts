import { Guard } from "../coherence/guards.ts";
import type { Clock } from "../contracts/clock.ts";
import type { Entry } from "../entry/entry.ts";
import { isFresh } from "../entry/freshness.ts";
import type { EntryKey } from "../entry/key.ts";
import type { Loader } from "../entry/loader.ts";
import type { NamespaceContext } from "./call.ts";
import type { EngineContext } from "./context.ts";
import { asRead, differenceOf } from "./difference.ts";
import type { Reads } from "./reads.ts";
import { repeatedLoad } from "./repeated-load.ts";
import type { Outcome } from "./verify-figures.ts";
import type { VerifiedKey, VerifySettings } from "./verify-options.ts";

/** A fresh hit that is to be compared. */
export interface Hit {
  readonly namespace: NamespaceContext;
  readonly key: EntryKey;
  readonly entry: Entry;
  readonly load: Loader<unknown>;
  readonly loadTimeoutMs: number;
  /** Label of the tier that answered. */
  readonly tier: string;
}

export interface VerifiedHitOf {
  readonly context: EngineContext;
  readonly reads: Reads;
  readonly settings: VerifySettings;
  readonly signal: AbortSignal;
  /** Resolves when the next load may begin. */
  readonly turn: () => Promise<void>;
  /** In place of the option `settle`. */
  readonly settles?: (() => Promise<void>) | undefined;
}

/** A difference that is confirmed. */
export interface Finding {
  readonly kind: "different";
  readonly fields: readonly string[];
  /** When the source last changed, since 1970. */
  readonly changedAt: number | undefined;
  readonly isCopyBehind: boolean;
  readonly isSharedKey: boolean;
}

type Version = ReturnType<NonNullable<VerifySettings["version"]>>;

/** One fresh hit that is compared with its source, behind a fence: what happens to its entry meanwhile ends it. */
export class VerifiedHit {
  readonly #hit: Hit;
  readonly #of: VerifiedHitOf;
  readonly #guard = new Guard();
  readonly #at: VerifiedKey;
  /** The loader of another call of this key, made while this one is compared. */
  #otherLoad: (() => Loader<unknown>) | undefined;
  #cached: unknown;

  constructor(hit: Hit, of: VerifiedHitOf) {
    this.#hit = hit;
    this.#of = of;
    this.#at = { namespace: hit.key.space.path, key: hit.key.name };
    of.context.flights.add(hit.key.local, this.#guard);
  }

  /** Another call of the same key is answered meanwhile. */
  joins(load: () => Loader<unknown>): void {
    this.#otherLoad = load;
  }

  end(): void {
    this.#of.context.flights.remove(this.#guard);
  }

  async run(): Promise<Exclude<Outcome, { readonly kind: "different" }> | Finding> {
    const { entry, load } = this.#hit;
    // The caller goes first.
    await Promise.resolve();
    await Promise.resolve();
    this.#cached = await this.#asRead(entry.value);
    const first = await this.#load(load);
    if (first === LEFT_OUT) return { kind: "left-out" };
    if (!this.stands) return { kind: "changed" };
    if (this.#fieldsOf(this.#cached, first) === undefined) return { kind: "same" };
    const inBackend = await this.#inBackend();
    await this.#settles();
    const second = await this.#load(load);
    if (second === LEFT_OUT) return { kind: "left-out" };
    const fields = this.#fieldsOf(this.#cached, second);
    const served = await this.#served();
    if (fields === undefined || !this.stands || !this.#isSame(served)) return { kind: "changed" };
    const unsteady = this.#unsteadyFields(first, second);
    const steady = fields.filter((field) => !unsteady.includes(field));
    // Named by the properties that don't differ from load to load. A whole value may do so, too.
    if (unsteady.length !== 0 && steady.length === 0) return { kind: "unsteady", fields };
    if (unsteady.length === 0 && !this.#isRepeated(first, second)) return { kind: "unsteady", fields };
    return {
      kind: "different",
      fields: steady,
      changedAt: instantOf(this.#versionOf(second)),
      isCopyBehind: inBackend !== undefined && !this.#isSame(inBackend),
      isSharedKey: await this.#isSharedKey(second),
    };
  }

  /** Whether the loaders of two calls give different values at one time: the key does not say all that they depend on. */
  async #isSharedKey(value: unknown): Promise<boolean> {
    const other = this.#otherLoad?.();
    if (other === undefined || other === this.#hit.load) return false;
    try {
      const theirs = await this.#load(other);
      if (theirs === LEFT_OUT || this.#fieldsOf(value, theirs) === undefined) return false;
      const [again, theirsAgain] = [await this.#load(this.#hit.load), await this.#load(other)];
      if (again === LEFT_OUT || theirsAgain === LEFT_OUT) return false;
      return this.#isRepeated(value, again) && this.#isRepeated(theirs, theirsAgain);
    } catch {
      return false;
    }
  }

  // ---- values

  /** The value that a loader gives, as a reader would get it. */
  async #load(load: Loader<unknown>): Promise<unknown> {
    const { context, signal, turn } = this.#of;
    const { namespace, key, loadTimeoutMs } = this.#hit;
    await turn();
    const loaded = await repeatedLoad(load, { context, namespace, key, loadTimeoutMs, signal });
    return loaded.kind === "left-out" ? LEFT_OUT : this.#asRead(loaded.value);
  }

  #asRead(value: unknown): Promise<unknown> {
    const { remote, schema } = this.#hit.namespace;
    return asRead(value, remote?.format, schema);
  }

  /** What differs, or `undefined`: by the version, by the function of the user, or by the values. */
  #fieldsOf(cached: unknown, loaded: unknown): readonly string[] | undefined {
    const { equals, ignore } = this.#of.settings;
    const difference = (): readonly string[] | undefined => differenceOf(cached, loaded, new Set(ignore));
    const [one, other] = [this.#versionOf(cached), this.#versionOf(loaded)];
    if (one !== undefined && other !== undefined) return isSameVersion(one, other) ? undefined : (difference() ?? []);
    if (equals !== undefined) return equals(cached, loaded, this.#at) ? undefined : (difference() ?? []);
    return difference();
  }

  #versionOf(value: unknown): Version {
    if (value === undefined || value === null) return undefined;
    return this.#of.settings.version?.(value, this.#at);
  }

  #isRepeated(one: unknown, other: unknown): boolean {
    return this.#fieldsOf(one, other) === undefined;
  }

  #unsteadyFields(one: unknown, other: unknown): readonly string[] {
    return this.#fieldsOf(one, other) ?? [];
  }

  // ---- the entry

  /**
   * Whether nothing has happened to the key, here or elsewhere, as far as this process was notified. After a call of a
   * tag the entry is served no more.
   */
  get stands(): boolean {
    return this.#of.context.flights.isUntainted(this.#guard);
  }

  /** The entry that a call would get now. */
  async #served(): Promise<Entry | undefined> {
    const { local, clock } = this.#of.context;
    const { key, namespace } = this.#hit;
    const now = clock.now();
    const copy = local?.get(key.local, now);
    const entry = copy ?? (namespace.remote && (await this.#of.reads.entry(namespace, key)));
    return isFresh(entry, clock.now()) ? entry : undefined;
  }

  /** The entry that the backend has of a copy that was served. */
  async #inBackend(): Promise<Entry | undefined> {
    const { namespace, key, tier } = this.#hit;
    if (namespace.remote === undefined || tier === namespace.remote.label) return undefined;
    return this.#of.reads.entry(namespace, key).catch(() => undefined);
  }

  #isSame(other: Entry | undefined): boolean {
    const { entry } = this.#hit;
    if (other === undefined) return false;
    if (entry.version !== undefined && other.version !== undefined) return entry.version === other.version;
    return entry === other || differenceOf(entry.value, other.value) === undefined;
  }

  async #settles(): Promise<void> {
    const { context, settings, signal, settles } = this.#of;
    if (settles !== undefined) return settles();
    const leftMs = Math.min(settings.settle, (this.#hit.entry.staleAt - context.clock.now()) / 2);
    await pause(context.clock, leftMs, signal);
  }
}

const LEFT_OUT: unique symbol = Symbol("left out");

const isSameVersion = (one: Version, other: Version): boolean =>
  one instanceof Date && other instanceof Date ? one.getTime() === other.getTime() : one === other;

const instantOf = (version: Version): number | undefined => (version instanceof Date ? version.getTime() : undefined);

/** Rejects once `signal` aborts. */
export async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  if (ms <= 0) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = (): void => resolve();
  const cancel = clock.schedule(end, ms);
  signal.addEventListener("abort", end, { once: true });
  await promise;
  signal.removeEventListener("abort", end);
  cancel();
  signal.throwIfAborted();
}
