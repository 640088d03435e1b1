import { Deadline, Deadlines } from "../primitives/deadlines.ts";
import { newId } from "../primitives/ids.ts";
import { ignore } from "../primitives/ignore.ts";
import type { LinkedSet } from "../primitives/linked-set.ts";
import type { Pinned } from "../tags/tag-versions.ts";
import type { AcquireAs, EntryLeases, LeaseAnswer } from "../tiers/entry-tier.ts";
import { OutOfTime } from "./budget.ts";
import type { Copies, Reporting, Writing } from "./context.ts";
import type { Flight } from "./flight.ts";

/**
 * The part of a lease after which it is renewed: the lease survives a process that stalls for half its term, or one
 * lost renewal.
 */
const RENEWED_AFTER = 1 / 4;

/** How often a waiting flight reads the backend again if nothing wakes it. */
export const POLL_MS = 1_000;

/** The first pause before a flight that waits reads again, if nothing reports changes; later pauses grow. */
const FIRST_POLL_MS = 20;

/**
 * How long a flight waits before it reads the backend again: as long as it has waited already, so each pause is as long
 * as all before it, and what a load took at most doubles.
 */
export const pollAfter = (waitedMs: number): number => Math.min(Math.max(waitedMs, FIRST_POLL_MS), POLL_MS);

/** Makes the lease of a flight, to be requested. */
export type NewLease = (flight: Flight) => Lease;
export const leasesAmong =
  (among: LinkedSet<Lease>, context: LeasingContext): NewLease =>
  (flight) =>
    new Lease(flight, among, context);

type LeasingContext = Pick<Reporting, "clock"> & Pick<Copies, "flights" | "tags"> & Pick<Writing, "writes">;

/**
 * The permission to load and store one key, requested by one flight.
 *
 *     asked ──granted──▶ held ──stored, released──▶ over
 *        └──refused────────────────────────────────▲
 *
 * Renewed while it is held. If the backend does not answer a renewal, the lease counts as held: the store finds out.
 * It is released as soon as the flight can store nothing valid, since other processes would wait for no result.
 *
 * The deadline that it extends is that of its next renewal: `isOver` is about that one, and says nothing of the lease.
 */
export class Lease extends Deadline {
  /** Identifies the holder, and becomes the version of the entry that it stores. */
  readonly token: string = newId();
  /**
   * The version in the backend when it was granted: the store is refused if it changed since. It may be another one than
   * the flight saw: a lease over an entry that was removed since is granted over nothing, `''`.
   */
  seen = "";
  /** The neighbours of this lease in the registry of the cache; those of the deadline are in another list. */
  before: this | undefined;
  after: this | undefined;
  readonly #flight: Flight;
  readonly #leases: EntryLeases;
  readonly #registry: LinkedSet<Lease>;
  readonly #context: LeasingContext;
  #state: "asked" | "held" | "over" = "asked";
  #isUnwanted = false;
  #pinned: Pinned | undefined;
  /** Tags that changed, or may have, and were not compared yet. */
  #changed: Set<string> | undefined;
  #isComparing = false;

  /**
   * Make it before it is requested: a change during the request counts.
   *
   * @param among contains it from its request to its end.
   */
  constructor(flight: Flight, among: LinkedSet<Lease>, context: LeasingContext) {
    super();
    this.#flight = flight;
    this.#leases = flight.call.namespace.remote!.leases!;
    this.#registry = among;
    this.#context = context;
    among.add(this);
  }

  /**
   * Asks for the lease. Pass what it resolves with to {@link answered}.
   *
   * @param seen the version over which it is granted.
   */
  request(seen: string, as: AcquireAs = {}): Promise<LeaseAnswer | Error> {
    const flight = this.#flight;
    return flight.budget!.wait(this.#leases.acquire(flight, this.token, seen, as));
  }

  /** If it is granted after all, too late for the flight, other processes need it. */
  answered(answer: LeaseAnswer | Error): LeaseAnswer | Error {
    const flight = this.#flight;
    if (answer instanceof OutOfTime) void this.#context.writes.include(this.#releaseUnused(answer));
    if (answer instanceof Error) flight.unreached(answer);
    if (!(answer instanceof Error) && answer.kind === "granted") this.granted(answer.seen);
    else flight.dropLease();
    return answer;
  }

  async #releaseUnused({ late }: OutOfTime<LeaseAnswer>): Promise<void> {
    const answer = await late;
    if (!(answer instanceof Error) && answer.kind === "granted")
      await this.#leases.release(this.#flight.key, this.token).then(ignore, ignore);
  }

  granted(seen: string): void {
    this.seen = seen;
    this.#state = "held";
    if (this.#isUnwanted) this.release();
    else this.#renewLater();
  }

  /** The tag versions that were pinned with it. */
  pinned(pinned: Pinned): void {
    this.#pinned = pinned;
    if (this.#changed !== undefined) void this.#compare();
  }

  /** The store gave it up, or it was never granted. */
  end(): void {
    this.among?.end(this);
    this.#state = "over";
    this.#registry.delete(this);
  }

  /** Lets other processes load at once. By token, so a lease of another holder stays. */
  release(): void {
    this.#isUnwanted = true;
    if (this.#state !== "held") return;
    this.end();
    const { writes, flights } = this.#context;
    const { key } = this.#flight;
    // Flights of this process that wait for it are woken here: perhaps no message does. The cache closes after it.
    void writes.include(this.#leases.release(key, this.token).then(() => flights.wake(key.local), ignore));
  }

  /** Releases the lease if this process renewed one of its tags: the value was loaded under an old version. */
  releaseUnder(tags: readonly string[]): void {
    if (tags.some((tag) => this.#pinned?.versions.has(tag) === true)) this.release();
  }

  /** Notes tags that may have changed elsewhere. The pin of a missing version is reported in the same way. */
  tagsChanged(tags: readonly string[]): void {
    const { tagPrefixes } = this.#flight.key.space;
    for (const tag of tags)
      if (tagPrefixes.some((prefix) => tag.startsWith(prefix))) (this.#changed ??= new Set()).add(tag);
    void this.#compare();
  }

  /** Compares, and again after another message. A missing version counts as unchanged. */
  async #compare(): Promise<void> {
    const changed = this.#changed;
    if (this.#pinned === undefined || changed === undefined || this.#isComparing) return;
    this.#isComparing = true;
    const { versions } = this.#pinned;
    try {
      while (changed.size !== 0 && !this.#hasEnded()) {
        const tags = [...changed].filter((tag) => versions.has(tag));
        changed.clear();
        if (tags.length === 0) break;
        const now = await this.#flight.call.namespace.remote!.versions!.read(tags);
        if (this.#hasEnded()) break;
        if (tags.some((tag, i) => now[i] !== undefined && now[i].hard !== versions.get(tag)!.hard)) {
          this.#flight.fence("tags");
          this.release();
        } else if (tags.every((tag, i) => now[i]?.soft === versions.get(tag)!.soft) && changed.size === 0) {
          this.#flight.hear(this.#context.tags, versions);
        }
      }
    } catch {
      // The tier has reported it. Waiting flights read again, and an entry stored under old versions is invalid.
    } finally {
      this.#isComparing = false;
    }
  }

  #hasEnded(): boolean {
    return this.#state === "over";
  }

  #renewLater(): void {
    Deadlines.of(this.#context.clock, this.#leases.leaseMs * RENEWED_AFTER, "whole").start(this);
  }

  /** Renews the lease when its time has come. */
  override pass(): void {
    const goOn = (isHeld: boolean): void => {
      if (this.#hasEnded()) return;
      if (isHeld) return this.#renewLater();
      // Perhaps its store has ended it, and is answered later over another connection. The store says itself whether
      // the lease was lost.
      if (this.#flight.phase === "storing") return;
      this.end();
      this.#flight.fence("lease");
    };
    this.#leases.renew(this.#flight.key, this.token).then(goOn, () => goOn(true));
  }
}
