import type { Epoch } from "../coherence/parts.ts";
import { SuspensionWatch } from "../coherence/suspension-watch.ts";
import { type CopyTrust, EPOCH_ALWAYS, lastEpoch } from "../coherence/trust.ts";
import type { Clock } from "../contracts/clock.ts";
import { CacheError, ConfigurationError, EncodeError } from "../contracts/errors.ts";
import type { LocalTier } from "../contracts/local-tier.ts";
import { wholeInstant, type Entry } from "../entry/entry.ts";
import { staleByTag } from "../entry/freshness.ts";
import { localKey as localKeyIn, parseLocalKey, type KeySpace } from "../entry/key.ts";
import type { Events } from "../primitives/event-port.ts";
import { TierMeter } from "../primitives/meters.ts";
import { underKnownChanges } from "../tags/known-changes.ts";
import type { KnownVersions } from "../tags/known-versions.ts";
import type { TagEvents } from "../tags/tag-events.ts";
import { compareVersions } from "../tags/tag-versions.ts";
import { JoinedKeys } from "./joined-keys.ts";
import { ValueMode } from "./value-mode.ts";

export interface LocalCopiesOf {
  readonly tier: LocalTier;
  readonly tags: TagEvents;
  readonly trust: CopyTrust;
  /** The tag versions that are known without a trip. */
  readonly table: KnownVersions | undefined;
  readonly clock: Clock;
  readonly events: Events;
  readonly cache: string;
  /** Whether a change of plain data in a shared value throws. */
  readonly freezesShared: boolean;
}

/** The copies of this process: the local tier, checked against trust, tag calls and tag versions, in its value mode. */
export class LocalCopies {
  declare readonly tier: LocalTier;
  declare readonly label: string;
  readonly meter: TierMeter = new TierMeter();
  declare readonly values: ValueMode;
  readonly #tags: TagEvents;
  readonly #trust: CopyTrust;
  readonly #suspension: SuspensionWatch;
  readonly #table: KnownVersions | undefined;
  readonly #clock: Clock;
  readonly #events: Events;
  readonly #cache: string;
  readonly #joinedKeys: JoinedKeys;
  /** Whether it was ever given a copy without tag versions: then any tag event matters. */
  hasUnversioned = false;
  #isClosed = false;
  #isBypassed = false;

  constructor({ tier, tags, trust, table, clock, events, cache, freezesShared }: LocalCopiesOf) {
    this.tier = tier;
    this.label = tier.label;
    this.values = new ValueMode(tier, freezesShared);
    this.#joinedKeys = new JoinedKeys(tier);
    this.#tags = tags;
    this.#trust = trust;
    this.#suspension = new SuspensionWatch(clock, (now) => trust.suspended(now));
    this.#table = table;
    this.#clock = clock;
    this.#events = events;
    this.#cache = cache;
    tags.checkCopies = () => this.#checkAll();
  }

  /** {@link get} by the name that a caller gave. */
  find(space: KeySpace, name: string, now: number): Entry | undefined {
    const joined = space.joined?.get(name);
    if (joined !== undefined) return this.get(joined, now);
    const key = localKeyIn(space, name);
    const entry = this.get(key, now);
    if (entry !== undefined && space.localPrefix !== "") this.#joinedKeys.hit(space, name, key);
    return entry;
  }

  /**
   * The copy, stale if one of its tags was marked stale; `undefined` for one that was invalidated, has expired or is
   * not trusted now: see {@link unconfirmed}.
   */
  get(localKey: string, now: number): Entry | undefined {
    this.#suspension.look(now);
    const entry = this.tier.get(localKey) as Entry | undefined;
    if (entry === undefined || now >= entry.deadAt) return undefined;
    if (now >= entry.epoch!.until) entry.epoch = lastEpoch(entry.epoch!, localKey);
    if (!(now < entry.epoch!.until)) return undefined;
    return entry.tagSequence === this.#tags.sequence && this.#table?.isReported(now) !== false
      ? entry
      : this.#check(localKey, entry, now);
  }

  /**
   * The copy also if it is not trusted, used while the backend is unreachable: newer than every call of this process,
   * and than every change by others that it received.
   */
  unconfirmed(localKey: string, now: number): Entry | undefined {
    const entry = this.tier.get(localKey) as Entry | undefined;
    if (entry === undefined || now >= entry.deadAt || this.#isDoubted(entry)) return undefined;
    return underKnownChanges(entry, { tags: this.#tags, table: this.#table }, now);
  }

  /** Where changes are not reported, no copy is. */
  #isDoubted({ epoch }: Entry): boolean {
    return epoch === this.#trust.doubted && epoch !== EPOCH_ALWAYS;
  }

  /** Why {@link get} returns no copy, or the state of the copy. For people. */
  explain(localKey: string, now: number): string {
    const entry = this.tier.get(localKey) as Entry | undefined;
    if (entry === undefined) return "none";
    if (now >= entry.deadAt) return "expired";
    if (this.get(localKey, now) !== undefined) return now < entry.staleAt ? "fresh" : "stale";
    const trusted = entry.epoch === EPOCH_ALWAYS ? Infinity : this.#trust.epochOf(localKey).until;
    if (trusted === -Infinity) return "not trusted: not subscribed to changes";
    if (now >= trusted) return `not trusted: the last sign of life is ${Math.round(now - trusted)} ms too old`;
    return now >= entry.epoch!.until
      ? "not confirmed since it was stored, or since changes may have been missed"
      : "its tags or its namespace have changed, or their versions are not known here yet";
  }

  /** Applies the tag calls of this process and the current tag versions to a copy, after a tag event. */
  #check(localKey: string, entry: Entry, now: number): Entry | undefined {
    const table = entry.epoch === EPOCH_ALWAYS ? undefined : this.#table;
    // Loaded while the backend refused to issue versions, or not sent yet: nothing can be compared.
    if (table !== undefined && entry.versions === undefined) {
      const { tagSequence: since } = entry;
      if (!this.#tags.hadEvents(entry.terms.dependsOn, since, since)) return entry;
      this.tier.delete(localKey);
      return undefined;
    }
    const current = table?.known(entry.terms.dependsOn);
    // To be confirmed: a version it depends on may have changed.
    if (table !== undefined && current === undefined) return undefined;
    const verdict = current === undefined ? "unchanged" : compareVersions(entry.versions, current);
    const checked = verdict === "gone" ? undefined : this.#tags.applyTo(entry, now);
    if (checked === undefined) this.tier.delete(localKey);
    // Only after both checks, the calls of this process and the current versions; and not by versions that are believed
    // for a while, the end of which no event reports.
    else if (checked === entry && verdict === "unchanged" && table?.isReported(now) !== false)
      entry.tagSequence = this.#tags.sequence;
    return checked !== undefined && verdict === "stale" ? staleByTag(checked, now) : checked;
  }

  /** Checks each copy as {@link get} would. */
  #checkAll(): void {
    const now = this.#clock.now();
    // Some are dropped.
    const all = this.#unlessBroken("walk", () => [...(this.tier.walk?.() ?? [])]) ?? [];
    for (const { key, entry } of all)
      this.#unlessBroken(
        "delete",
        () => {
          this.#check(key, entry as Entry, now);
          if (this.unconfirmed(key, now) === undefined) this.tier.delete(key);
        },
        key,
      );
  }

  /**
   * Stores a copy for at most `localTtlMs`, within the limits of reader and writer; zero stores none. Returns the error
   * of a value that cannot be stored: in `cloned` mode one that cannot be cloned, or one whose size the tier cannot
   * measure.
   *
   * @param soundEpoch the epoch in which the backend had this entry; `Trust.unconfirmed` for a copy that is
   * served only while the backend is unreachable.
   */
  put(localKey: string, entry: Entry, localTtlMs: number, soundEpoch: Epoch): CacheError | undefined {
    const limitMs = Math.min(localTtlMs, entry.terms.localTtlMs);
    if (limitMs <= 0 || entry.terms.mayLag === true || this.#isClosed || this.#isBypassed) {
      this.tier.delete(localKey);
      return undefined;
    }
    if (this.#table !== undefined && entry.versions === undefined) this.hasUnversioned = true;
    const now = this.#clock.now();
    const deadAt = Math.min(entry.expiresAt, wholeInstant(now + limitMs));
    try {
      const value = this.values.own(entry.value);
      const isSame = deadAt === entry.deadAt && value === entry.value;
      const copy: Entry = isSame ? entry : { ...entry, value, deadAt };
      copy.epoch = soundEpoch;
      this.tier.set(localKey, copy);
    } catch (error) {
      return this.#refused(error);
    }
    if (this.#events.store.isObserved) {
      const { path, key } = parseLocalKey(localKey);
      const of = { cache: this.#cache, namespace: path, key, tier: this.label };
      this.#events.store.emit({ ...of, durationMs: this.#clock.now() - now });
    }
    return undefined;
  }

  /**
   * Stores like {@link put}, and reports the error of a value that cannot be stored. Then there is no copy: the former
   * one is older.
   *
   * @returns whether it was stored.
   */
  keep(localKey: string, entry: Entry, localTtlMs: number, soundEpoch: Epoch): boolean {
    const error = this.put(localKey, entry, localTtlMs, soundEpoch);
    if (error === undefined) return true;
    this.drop(localKey);
    this.#report(error, localKey);
    return false;
  }

  /** Puts `entry` in the place of the copy it was made of, with the same value. A tier that throws has no copy then. */
  replace(localKey: string, entry: Entry): void {
    try {
      this.tier.set(localKey, entry);
    } catch (error) {
      this.#report(this.#refused(error), localKey);
    }
  }

  /** Drops a copy where no caller would get an error of the tier. */
  drop(localKey: string): void {
    try {
      this.tier.delete(localKey);
    } catch (error) {
      this.#broken("delete", error, localKey);
    }
  }

  /** Whether there is a copy that has not expired, where no caller would get an error of the tier. */
  hasLiving(localKey: string): boolean {
    const copy = this.copyOf(localKey);
    return copy !== undefined && this.#clock.now() < copy.deadAt;
  }

  /** Whether there is a copy of this version, as {@link hasLiving}. */
  hasVersion(localKey: string, version: string): boolean {
    return this.copyOf(localKey)?.version === version;
  }

  /** Whether there is a copy that no backend has. */
  hasLocalOnly(localKey: string): boolean {
    return this.copyOf(localKey)?.isLocalOnly === true;
  }

  /** The copy in any state, which {@link confirm} may confirm. */
  copyOf(localKey: string): Entry | undefined {
    return this.#unlessBroken("get", () => this.tier.get(localKey), localKey) as Entry | undefined;
  }

  /**
   * The backend had the version of `copy` when it was read, in this epoch of the key. No change of the key was
   * reported since: it would have dropped the copy. A later one may have the same version, and be of after a change.
   */
  confirm(localKey: string, copy: Entry, epoch: Epoch): void {
    if (this.copyOf(localKey) === copy) copy.epoch = epoch;
  }

  get state(): "up" | "bypassed" {
    return this.#isBypassed ? "bypassed" : "up";
  }

  /** Drops all copies, and stores none while it lasts: afterwards there is no older one to come back. */
  bypass(isBypassed: boolean): void {
    if (isBypassed === this.#isBypassed) return;
    this.#isBypassed = isBypassed;
    this.#unlessBroken("clear", () => this.tier.clear());
    this.#events["backend:state"].emit({ cache: this.#cache, namespace: [], tier: this.label, state: this.state });
  }

  /** Drops all copies, and stores no more. */
  close(): void {
    this.#isClosed = true;
    this.#unlessBroken("clear", () => this.tier.clear());
  }

  /** `undefined` where the tier throws, which is reported: no caller waits, and other work continues. */
  #unlessBroken<T>(operation: "get" | "clear" | "delete" | "walk", body: () => T, localKey?: string): T | undefined {
    try {
      return body();
    } catch (error) {
      return this.#broken(operation, error, localKey);
    }
  }

  #broken(operation: string, cause: unknown, localKey: string | undefined): undefined {
    const text = `${this.label}: ${operation} threw, and only set of a local tier may; see cause`;
    this.#report(new ConfigurationError(text, { tier: this.label, operation, cause }), localKey);
  }

  #refused(error: unknown): CacheError {
    return error instanceof CacheError
      ? error
      : new EncodeError(`${this.label}: the local tier refused this value; see cause`, {
          tier: this.label,
          operation: "set",
          cause: error,
        });
  }

  #report(error: CacheError, localKey: string | undefined): void {
    const { path, ...key } = localKey === undefined ? { path: [] } : parseLocalKey(localKey);
    const { tier = this.label, operation = "set" } = error;
    this.#events["backend:error"].emit({ cache: this.#cache, namespace: path, ...key, tier, operation, error });
  }
}
