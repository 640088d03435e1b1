import { ONE_PART, type BackendParts, type Epoch, type Part } from "./parts.ts";

/** A backend that reports changes. */
export interface ReportsOf {
  readonly parts: BackendParts;
  /** How long a sign of life counts, in milliseconds. */
  readonly maxStalenessMs: number;
  /** The key of the backend that a local key is kept under. */
  readonly backendKey: (localKey: string) => string;
  /** A key in the part that keeps the tag versions. */
  readonly versionsKey: string;
}

/**
 * Whether local copies may be served without asking the backend: a deadline, not an event. A process that was frozen,
 * or whose link is silent, finds the deadline passed before any message arrives.
 *
 * A backend may have several parts, the primaries of a cluster for example, each of which reports the changes of its
 * own keys. Copies of the others are trusted while one of them is silent or lost.
 *
 * Each part has one {@link Epoch} at a time. Both a copy and a call in flight keep the one that they began in: once it
 * has ended for their key, a change may have been missed since then.
 */
export class Trust {
  /** The epoch of a copy that is not confirmed yet. */
  readonly unconfirmed: Epoch = EPOCH_NONE;
  /**
   * The epoch of a copy whose key was reported as changed while the copy was on its way: the report may be of that very
   * write, or of a later one. Until it is confirmed the copy is not served, not even in an outage.
   */
  readonly doubted: Epoch = EPOCH_DOUBTED;
  /** How long a sign of life counts, in milliseconds. */
  declare readonly maxStalenessMs: number;
  readonly #of: ReportsOf;
  #isAttached = false;
  /** Earlier signs of life say nothing of now. */
  #suspendedAt = -Infinity;

  constructor(of: ReportsOf) {
    this.#of = of;
    this.maxStalenessMs = of.maxStalenessMs;
  }

  /** The epoch of a copy of this key, if the backend confirms it now. */
  epochOf(localKey: string): Epoch {
    const { parts, backendKey } = this.#of;
    return (parts.one ?? parts.of(parts.nameOf(backendKey(localKey)))).epoch;
  }

  /** The epoch of a tag version that is read now. */
  epochOfVersions(): Epoch {
    const { parts, versionsKey } = this.#of;
    return parts.of(parts.nameOf(versionsKey)).epoch;
  }

  /** Whether the backend reports the changes of this key. */
  isReported(localKey: string, now: number): boolean {
    return now < this.epochOf(localKey).until;
  }

  /** Whether changes of some part are reported, at least. */
  isReportedInPart(now: number): boolean {
    for (const { epoch } of this.#of.parts.all()) if (now < epoch.until) return true;
    return false;
  }

  /** Whether each part that the backend has now is reported, as far as is known. */
  get isReportedInAll(): boolean {
    const { parts } = this.#of;
    const names = parts.names();
    return names.length !== 0 && names.every((name) => parts.get(name)?.aliveAt !== undefined);
  }

  /**
   * Whether a call at `now` may join a read of this key begun at `beganAt`: it may miss at most `maxStalenessMs` of
   * changes, as a local copy may.
   */
  mayShare(localKey: string, beganAt: number, now: number): boolean {
    return now - beganAt < this.maxStalenessMs || now < this.epochOf(localKey).until;
  }

  /**
   * All changes of this part acknowledged before `sentAtMs` were reported. Trust counts from when the ping was sent:
   * later changes may still be on their way.
   *
   * @returns whether this begins the trust in a part that was lost, or new: copies of the time before, and what is in
   *   flight, may have missed a change.
   */
  alive(sentAtMs: number, name: string = ONE_PART): boolean {
    const part = this.#of.parts.of(name);
    const begins = part.aliveAt === undefined && this.#isAttached && name !== ONE_PART;
    if (sentAtMs < this.#suspendedAt || (part.aliveAt !== undefined && sentAtMs <= part.aliveAt)) return false;
    part.aliveAt = part.lastAliveAt = sentAtMs;
    const until = this.#isAttached ? sentAtMs + this.maxStalenessMs : -Infinity;
    if (begins) this.#renew(part, until);
    else part.epoch.until = until;
    return begins;
  }

  /** When the part of this key gave its last sign of life, if that is too long ago for its copies to be trusted. */
  lapsedSince(localKey: string, now: number): number | undefined {
    const { parts, backendKey } = this.#of;
    const { lastAliveAt } = parts.one ?? parts.of(parts.nameOf(backendKey(localKey)));
    if (lastAliveAt === undefined) return undefined;
    const hasLapsed = now - lastAliveAt >= this.maxStalenessMs || lastAliveAt <= this.#suspendedAt;
    return hasLapsed ? lastAliveAt : undefined;
  }

  attached(): void {
    this.#isAttached = true;
    this.renew();
  }

  /**
   * Changes of one part, or of all, may be missed from now on.
   *
   * @returns when that part gave its last sign of life.
   */
  lost(name?: string): number | undefined {
    const { parts } = this.#of;
    if (name === undefined) this.#isAttached = false;
    const lost = name === undefined ? [...parts.all()] : [parts.of(name)];
    const aliveAt = name === undefined ? undefined : lost[0]!.aliveAt;
    for (const part of lost) {
      part.aliveAt = undefined;
      this.#renew(part);
    }
    return aliveAt;
  }

  /**
   * Time has passed that `clock.now()` did not show: only a sign of life that is sent from `now` on brings trust back.
   */
  suspended(now: number): void {
    this.#suspendedAt = now;
    this.renew();
  }

  /**
   * All present copies of a part, or of all, have to be confirmed: no walk over them.
   *
   * @param concerns of keys of the backend for which it is true alone.
   * @returns whether the versions of tags are concerned.
   */
  renew(name?: string, concerns?: (key: string) => boolean): boolean {
    const { parts, backendKey, versionsKey } = this.#of;
    for (const part of name === undefined ? parts.all() : [parts.of(name)]) {
      const { epoch, ended } = part;
      const next = this.#renew(part);
      if (concerns === undefined) continue;
      epoch.after = (key) => (concerns(backendKey(key)) ? undefined : next);
      if (ended.push(epoch) > MOST_ENDED) ended.shift()!.after = undefined;
    }
    return concerns?.(versionsKey) !== false;
  }

  #renew(part: Part, until: number = this.#untilOf(part)): Epoch {
    const next = { until };
    part.epoch.until = -Infinity;
    part.epoch = next;
    return next;
  }

  #untilOf({ aliveAt }: Part): number {
    // The clock may have stood still: a sign of life with the same timestamp predates the suspension.
    const isProven = this.#isAttached && aliveAt !== undefined && aliveAt > this.#suspendedAt;
    return isProven ? aliveAt + this.maxStalenessMs : -Infinity;
  }
}

/** A copy that is older by more is read again, for less than it costs to look at so many. */
const MOST_ENDED = 32;

/** The epoch of this key now, if no change of it was missed since `epoch`; else an ended one. */
export function lastEpoch(epoch: Epoch, localKey: string): Epoch {
  let last = epoch;
  for (let next: Epoch | undefined = last; next; next = last.after?.(localKey)) last = next;
  return last;
}

/** The epoch of a copy that no other process can change: its namespace never leaves this one. */
export const EPOCH_ALWAYS: Epoch = Object.freeze({ until: Infinity });
const EPOCH_NONE: Epoch = Object.freeze({ until: -Infinity });
const EPOCH_DOUBTED: Epoch = Object.freeze({ until: -Infinity });

/** Whether copies may be served, as those ask who serve them. */
export type CopyTrust = Pick<
  Trust,
  | "unconfirmed"
  | "doubted"
  | "epochOf"
  | "isReported"
  | "isReportedInPart"
  | "isReportedInAll"
  | "mayShare"
  | "suspended"
>;

/** Trust without a backend that reports changes: copies are trusted for as long as `localTtl` lets them live. */
export const TRUST_ALWAYS: CopyTrust = {
  unconfirmed: EPOCH_ALWAYS,
  doubted: EPOCH_ALWAYS,
  epochOf: () => EPOCH_ALWAYS,
  isReported: () => false,
  isReportedInPart: () => false,
  isReportedInAll: false,
  mayShare: () => true,
  suspended: () => undefined,
};
