import type { TagVersions } from "../contracts/backend.ts";
import { BackendUnavailableError, LoadTimeoutError } from "../contracts/errors.ts";
import type { CacheEvents } from "../contracts/events.ts";
import { dependencies } from "../entry/key.ts";
import { haveEqualItems } from "../primitives/equal-items.ts";
import type { Pinned } from "../tags/tag-versions.ts";
import { asItIs, BackendRefusedError } from "../tiers/backend-calls.ts";
import type { EntryLeases, LeaseAnswer } from "../tiers/entry-tier.ts";
import type { FlightBatch } from "./call.ts";
import type { Copies, Reporting, Writing } from "./context.ts";
import { fencedBy, type Flight } from "./flight.ts";
import { Lease } from "./lease.ts";
import { ignore } from "../primitives/ignore.ts";

/** The lease, or the reason why there is none; with the tag versions, where a load follows. */
export type Acquired =
  | { readonly kind: "leased" | "alone"; readonly pinned: Pinned | undefined }
  | Exclude<LeaseAnswer, { readonly kind: "granted" }>;

type LeasingContext = Reporting & Pick<Copies, "flights" | "tags"> & Pick<Writing, "writes">;

/** Takes the lease of a flight, and pins tag versions, before the loader runs. */
export class LeaseAcquisition {
  readonly #context: LeasingContext;
  readonly #among: Set<Lease>;

  /** @param among contains each lease from its request to its end. */
  constructor(context: LeasingContext, among: Set<Lease>) {
    this.#context = context;
    this.#among = among;
  }

  /**
   * The permission to load, and tag versions, in one trip. Both are taken before the loader runs: versions taken after
   * it would hide an invalidation during the load.
   *
   * `alone`: load without a lease. If the backend is unreachable, or refused the lease, the result is kept only here.
   */
  async acquire(flight: Flight): Promise<Acquired> {
    const { clock } = this.#context;
    const { namespace, isForced } = flight.call;
    if (flight.storesNothing) {
      flight.requestLease(undefined);
      return { kind: "alone", pinned: undefined };
    }
    const leases = namespace.remote?.leases;
    if (leases === undefined || flight.isUnreachable || flight.isAlone) {
      if (leases !== undefined && !flight.isAlone) this.#reportUnleased(flight, "unreachable");
      flight.requestLease(undefined);
      const pin = this.#pin(flight);
      return { kind: "alone", pinned: pin instanceof Promise ? await this.#pinned(flight, pin) : pin };
    }
    const { versions } = namespace.remote!;
    let pinned: Pinned | undefined;
    const lease = this.#newLease(flight, leases, () => pinned);
    const pin = this.#pin(flight);
    if (pin instanceof Promise) pin.catch(ignore);
    flight.requestLease(lease);
    const seen = isForced ? TAKE_OVER : flight.seen;
    const acquiring = leases.acquire(flight, lease.token, seen, hasSeenEnd(flight, clock.now()));
    const answer = await this.#answerOf(acquiring, flight);
    if (answer instanceof Error) {
      this.#notGranted(flight, lease.token, acquiring);
      this.#reportUnleased(flight, answer instanceof BackendRefusedError ? "refused" : "unreachable");
      return { kind: "alone", pinned: pin instanceof Promise ? await this.#pinned(flight, pin) : pin };
    }
    if (answer.kind !== "granted") return answer;
    pinned = pin instanceof Promise ? await this.#pinned(flight, pin) : pin;
    if (pinned !== undefined) lease.pinned(pinned);
    // No process may wait for a result that cannot be stored: the flight has ended or is fenced, or has no tag
    // versions.
    if (
      flight.isOver ||
      (versions !== undefined && pinned === undefined) ||
      fencedBy(this.#context.tags, flight, dependencies(flight.key.space, flight.tags)) !== undefined
    )
      lease.release();
    return { kind: "leased", pinned };
  }

  /**
   * The lease for a value that was loaded without one, in parallel with others. Granted only over what the flight saw
   * before it loaded, so that the value replaces no change since then.
   */
  async acquireLate(flight: Flight, pinned: Pinned | undefined): Promise<void> {
    const leases = flight.call.namespace.remote?.leases;
    if (leases === undefined || flight.isUnreachable || flight.seen === "" || pinned === undefined) return;
    const lease = this.#newLease(flight, leases, () => pinned);
    flight.lease = lease;
    const acquiring = leases.acquire(flight, lease.token, flight.seen);
    const answer = await this.#answerOf(acquiring, flight);
    if (answer instanceof Error) return this.#notGranted(flight, lease.token, acquiring);
    if (answer.kind === "granted") lease.pinned(pinned);
    if (answer.kind === "granted" && answer.seen === flight.seen) return;
    lease.release();
    flight.lose();
  }

  /** A failure, or a late answer, is the error that it resolves with. */
  #answerOf(acquiring: Promise<LeaseAnswer>, flight: Flight): Promise<LeaseAnswer | Error> {
    const lease = flight.lease!;
    const answered = (answer: LeaseAnswer): LeaseAnswer => {
      if (answer.kind === "granted") lease.granted(answer.seen);
      else flight.dropLease();
      return answer;
    };
    return flight.budget.limit<LeaseAnswer, LeaseAnswer | Error>(
      this.#context.clock,
      acquiring,
      "call",
      answered,
      (error) => unreachableBy(error, flight),
    );
  }

  #reportUnleased({ key, call }: Flight, cause: CacheEvents["load:unleased"]["cause"]): void {
    const { name: cache, events } = this.#context;
    const { label: tier, isBypassed } = call.namespace.remote!;
    if (isBypassed) return;
    events["load:unleased"].emit({ cache, namespace: key.space.path, key: key.name, tier, cause });
  }

  /** If it is granted after all, too late for this flight, other processes need it. */
  #notGranted(flight: Flight, token: string, acquiring: Promise<LeaseAnswer>): void {
    const leases = flight.call.namespace.remote!.leases!;
    flight.dropLease();
    void this.#context.writes.include(
      acquiring.then(({ kind }) => (kind === "granted" ? leases.release(flight.key, token) : undefined)).catch(ignore),
    );
  }

  /** @param pinned the tag versions of the flight, once they are known. */
  #newLease(flight: Flight, leases: EntryLeases, pinned: () => Pinned | undefined): Lease {
    const { clock, tags, flights, writes } = this.#context;
    const { remote } = flight.call.namespace;
    return new Lease({
      leases,
      clock,
      key: flight.key,
      among: this.#among,
      versionsNow: (names) => remote!.versions!.read(names),
      lost: (by) => flight.fence(by),
      // Flights of this process that wait for it are woken here: perhaps no message does. The cache closes after it.
      releasing: (release) => void writes.include(release.then(() => flights.wake(flight.key.local), ignore)),
      unharmed: () => {
        // Only the versions that were pinned were compared: not those of tags that callers and the loader added since.
        const others = flight.dependsOn.filter((each) => pinned()?.versions.has(each) !== true);
        if (!tags.hadEvents(others, flight.tagSequence, flight.heardSequence)) flight.heardSequence = tags.sequence;
      },
    });
  }

  /** Without a trip where the versions are known; a current call may know of a newer one. */
  #pin(flight: Flight): Promise<Pinned> | Pinned | undefined {
    const { namespace, batch, isCurrent } = flight.call;
    const { remote } = namespace;
    const versions = remote?.versions;
    if (versions === undefined || flight.isUnreachable) return undefined;
    const names =
      flight.fallback === undefined ? flight.tags : [...new Set([...flight.tags, ...flight.fallback.terms.tags])];
    const keys = dependencies(flight.key.space, names);
    const known = isCurrent ? undefined : remote!.pinned?.(keys);
    if (known !== undefined) return known;
    return pinOnce(versions, keys, batch).then(({ at, versions: found }) => ({
      at,
      versions: new Map(keys.map((key, i) => [key, found[i]!])),
    }));
  }

  #pinned(flight: Flight, pinning: Promise<Pinned>): Promise<Pinned | undefined> {
    const failed = (error: unknown): undefined => void unreachableBy(error, flight);
    return flight.budget.limit<Pinned, Pinned | undefined>(this.#context.clock, pinning, "call", asItIs, failed);
  }
}

/** Whether the life of the entry that it saw in the backend has ended: there it may end somewhat later. */
const hasSeenEnd = ({ fallback, seen }: Flight, now: number): boolean =>
  fallback !== undefined && fallback.version === seen && now >= fallback.expiresAt;

/** A refusal (no memory, no permission) proves that the backend is reachable: reads, and messages, continue. */
function unreachableBy(error: unknown, flight: Flight): Error {
  if (error instanceof BackendUnavailableError && !(error instanceof BackendRefusedError)) flight.isUnreachable = true;
  return error instanceof Error ? error : new Error("a backend rejected without an Error", { cause: error });
}

/** One trip for the flights of a batch that depend on the same tags. A joined caller may have added some to one. */
function pinOnce(
  versions: TagVersions,
  keys: readonly string[],
  batch: FlightBatch | undefined,
): ReturnType<TagVersions["pin"]> {
  const shared = batch?.pinned;
  if (shared !== undefined && haveEqualItems(shared.keys, keys)) return shared.pinning;
  const pinning = versions.pin(keys);
  if (batch !== undefined) batch.pinned = { keys, pinning };
  return pinning;
}
/** As `seen`: takes the lease from any holder. */
const TAKE_OVER = "*";

/** Another process loads for longer than a load may take. */
export const elsewhereTimeout = (loadTimeoutMs: number): LoadTimeoutError =>
  new LoadTimeoutError(`no value within loadTimeout, ${loadTimeoutMs} ms: another process is loading it`, {
    operation: "load",
  });
