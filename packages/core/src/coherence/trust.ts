/**
 * Whether local copies may be served without asking the backend: a deadline, not an event. A process that was frozen,
 * or whose link is silent, finds it passed before it has heard of anything.
 *
 * Without anybody to hear of changes from, copies are trusted for as long as `localTtl` lets them live.
 */
export class Trust {
  /** Raised whenever changes may have been missed: copies of an older epoch are confirmed before they are served. */
  epoch = 0;
  /** `clock.now()` from which no copy is served unconfirmed. */
  until: number = Infinity;
  readonly #sources: TrustSource[] = [];
  /** Of the strictest source. */
  #maxStalenessMs = Infinity;

  /** Whether copies are trusted on somebody's word only. */
  get isHeard(): boolean {
    return this.#sources.length !== 0;
  }

  /** The epoch of a copy that waits to be confirmed: none, where there is somebody who could confirm it. */
  get unconfirmed(): number {
    return this.isHeard ? EPOCH_NONE : this.epoch;
  }

  /** One more backend that has to be heard. @param maxStalenessMs how long its last sign of life counts. */
  hear(maxStalenessMs: number): TrustSource {
    const source = new TrustSource(this, maxStalenessMs);
    this.#sources.push(source);
    this.#maxStalenessMs = Math.min(this.#maxStalenessMs, maxStalenessMs);
    this.reckon();
    return source;
  }

  /** Whether who asks at `now` may share what began at `beganAt`: of what was changed meanwhile only the last may be missing, as with a copy. */
  mayShare(beganAt: number, now: number): boolean {
    return now < this.until || now - beganAt < this.#maxStalenessMs;
  }

  /** Copies from before are confirmed once: one counter, no walk. */
  renew(): void {
    this.epoch += 1;
  }

  /** As long as the one that was heard least lately allows. */
  reckon(): void {
    this.until = this.#sources.reduce((until, source) => Math.min(until, source.until), Infinity);
  }
}

/** The epoch of a copy that nobody else can change: its namespace never leaves the process. */
export const EPOCH_ALWAYS: number = Infinity;
const EPOCH_NONE = -1;

/** One backend that reports changes. */
export class TrustSource {
  readonly #trust: Trust;
  readonly #maxStalenessMs: number;
  #isAttached = false;
  #provenAt = -Infinity;

  constructor(trust: Trust, maxStalenessMs: number) {
    this.#trust = trust;
    this.#maxStalenessMs = maxStalenessMs;
  }

  get until(): number {
    return this.#isAttached ? this.#provenAt + this.#maxStalenessMs : -Infinity;
  }

  /** What was acknowledged before `sentAtMs` has been reported. Counts from where the question was sent: what changed since may be on the way. */
  alive(sentAtMs: number): void {
    if (sentAtMs <= this.#provenAt) return;
    this.#provenAt = sentAtMs;
    this.#trust.reckon();
  }

  attached(): void {
    this.#isAttached = true;
    this.#trust.renew();
    this.#trust.reckon();
  }

  lost(): void {
    this.#isAttached = false;
    this.#provenAt = -Infinity;
    this.#trust.renew();
    this.#trust.reckon();
  }
}
