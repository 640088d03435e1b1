/**
 * Whether local copies may be served without asking the backend: a deadline, not an event. A process that was frozen,
 * or whose link is silent, finds the deadline passed before any message arrives.
 *
 * A backend may have several parts, the primaries of a cluster for example, each of which reports the changes of its
 * own keys. Copies of the others are trusted while one of them is silent or lost.
 *
 * If the backend does not report changes, copies are trusted for as long as `localTtl` lets them live.
 */
export class Trust {
  /** Incremented whenever changes may have been missed, in any part: an answer in flight then is not trusted. */
  epoch = 0;
  #source: TrustSource | undefined;

  /** Whether the backend reports changes; copies are then trusted only while it does. */
  get hasSource(): boolean {
    return this.#source !== undefined;
  }

  /** How long a sign of life counts, in milliseconds. */
  get maxStalenessMs(): number {
    return this.#source?.maxStalenessMs ?? Infinity;
  }

  /**
   * The epoch of a copy that is not confirmed yet: none if a backend reports changes, since it can confirm the copy.
   */
  get unconfirmed(): Epoch {
    return this.hasSource ? EPOCH_NONE : EPOCH_ALWAYS;
  }

  /** The epoch of a copy of this key, if the backend confirms it now. */
  epochOf(localKey: string): Epoch {
    return this.#source?.epochOf(localKey) ?? EPOCH_ALWAYS;
  }

  /** The epoch of a tag version that is read now. */
  epochOfVersions(): Epoch {
    return this.#source?.epochOfVersions() ?? EPOCH_ALWAYS;
  }

  /** Whether the backend reports the changes of this key. */
  isReported(localKey: string, now: number): boolean {
    return this.hasSource && now < this.epochOf(localKey).until;
  }

  /** Whether changes of some part are reported, at least. */
  isReportedInPart(now: number): boolean {
    return this.#source === undefined || this.#source.isReportedInPart(now);
  }

  /**
   * From now on copies are trusted while the backend reports changes.
   *
   * @param maxStalenessMs how long its last sign of life counts.
   * @param keys the parts that its keys are in. @default one part
   */
  reportedBy(maxStalenessMs: number, keys?: KeyParts): TrustSource {
    this.#source = new TrustSource(this, maxStalenessMs, keys);
    return this.#source;
  }

  /**
   * Whether a call at `now` may join a read of this key begun at `beganAt`: it may miss at most `maxStalenessMs` of
   * changes, like a local copy.
   */
  mayShare(localKey: string, beganAt: number, now: number): boolean {
    return now - beganAt < this.maxStalenessMs || now < this.epochOf(localKey).until;
  }

  /** All present copies have to be confirmed: no walk over them. */
  renew(): void {
    this.epoch += 1;
    this.#source?.renew();
  }

  /**
   * Time has passed that `clock.now()` did not show: nothing is trusted before a sign of life that is sent from `now`
   * on.
   */
  suspended(now: number): void {
    if (this.#source === undefined) return;
    this.epoch += 1;
    this.#source.suspended(now);
  }
}

/** A time in which every change of some keys is reported. A copy keeps the epoch in which it was last confirmed. */
export interface Epoch {
  /** `clock.now()` from which its copies are not served unconfirmed; `-Infinity` once changes may have been missed. */
  readonly until: number;
}

/** The epoch of a copy that no other process can change: its namespace never leaves this one. */
export const EPOCH_ALWAYS: Epoch = Object.freeze({ until: Infinity });
const EPOCH_NONE: Epoch = Object.freeze({ until: -Infinity });

/** The parts of a backend that keys are in. */
export interface KeyParts {
  /** The parts that the backend has now. */
  names(): readonly string[];
  of(localKey: string): string;
  ofVersions(): string;
}

interface Part {
  epoch: { until: number };
  provenAt: number;
}

/** The reports of a backend. */
export class TrustSource {
  readonly maxStalenessMs: number;
  readonly #trust: Trust;
  readonly #keys: KeyParts | undefined;
  /** Forgotten when it is lost, so there are no more than the backend has, and those of keys asked for meanwhile. */
  readonly #parts = new Map<string, Part>();
  #isAttached = false;
  /** Earlier signs of life say nothing of now. */
  #suspendedAt = -Infinity;

  constructor(trust: Trust, maxStalenessMs: number, keys: KeyParts | undefined) {
    this.#trust = trust;
    this.maxStalenessMs = maxStalenessMs;
    this.#keys = keys;
  }

  epochOf(localKey: string): Epoch {
    return this.#part(this.#keys === undefined ? ONE_PART : this.#keys.of(localKey)).epoch;
  }

  epochOfVersions(): Epoch {
    return this.#part(this.#keys === undefined ? ONE_PART : this.#keys.ofVersions()).epoch;
  }

  isReportedInPart(now: number): boolean {
    for (const { epoch } of this.#parts.values()) if (now < epoch.until) return true;
    return false;
  }

  /**
   * All changes of this part acknowledged before `sentAtMs` were reported. Trust counts from when the ping was sent:
   * later changes may still be on their way.
   *
   * @returns whether this begins the trust in a part that was lost, or new.
   */
  alive(sentAtMs: number, name: string = ONE_PART): boolean {
    const part = this.#part(name);
    const begins = part.provenAt === -Infinity && this.#isAttached && name !== ONE_PART;
    if (sentAtMs <= part.provenAt || sentAtMs < this.#suspendedAt) return false;
    part.provenAt = sentAtMs;
    const until = this.#untilOf(part);
    if (!begins) {
      part.epoch.until = until;
      return false;
    }
    // Copies of the time before, and what is in flight, may have missed a change.
    part.epoch = { until };
    this.#trust.epoch += 1;
    return true;
  }

  attached(): void {
    this.#isAttached = true;
    this.#trust.renew();
  }

  /** Whether each part that the backend has now is reported, as far as is known. */
  get isReportedInAll(): boolean {
    const names = this.#keys?.names() ?? [];
    return names.length !== 0 && names.every((name) => (this.#parts.get(name)?.provenAt ?? -Infinity) !== -Infinity);
  }

  /**
   * Changes of one part, or of all, may be missed from now on.
   *
   * @returns when that part gave its last sign of life.
   */
  lost(name?: string): number | undefined {
    const provenAt = name === undefined ? undefined : this.#parts.get(name)?.provenAt;
    if (name === undefined) this.#isAttached = false;
    for (const [each, { epoch }] of this.#parts) {
      if (name !== undefined && each !== name) continue;
      epoch.until = -Infinity;
      this.#parts.delete(each);
    }
    if (name === undefined) this.#trust.renew();
    else this.#trust.epoch += 1;
    return provenAt === -Infinity ? undefined : provenAt;
  }

  suspended(now: number): void {
    this.#suspendedAt = now;
    for (const part of this.#parts.values()) {
      part.epoch.until = -Infinity;
      part.epoch = { until: -Infinity };
      // Not -Infinity, which is that of a part that was lost.
      if (part.provenAt !== -Infinity) part.provenAt = -Number.MAX_VALUE;
    }
  }

  /** Begins a new epoch in each part. */
  renew(): void {
    for (const part of this.#parts.values()) {
      part.epoch.until = -Infinity;
      part.epoch = { until: this.#untilOf(part) };
    }
  }

  #part(name: string): Part {
    let part = this.#parts.get(name);
    if (part === undefined) this.#parts.set(name, (part = { epoch: { until: -Infinity }, provenAt: -Infinity }));
    return part;
  }

  #untilOf({ provenAt }: Part): number {
    return this.#isAttached ? provenAt + this.maxStalenessMs : -Infinity;
  }
}

/** The name of the only part of a backend that has no others. */
export const ONE_PART = "";
