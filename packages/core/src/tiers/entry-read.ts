import type { Awaitable } from "../contracts/awaitable.ts";
import type { StoredAnswer } from "../contracts/capabilities.ts";
import { DecodeError } from "../contracts/errors.ts";
import type { Entry } from "../entry/entry.ts";
import { dependencies, type EntryKey } from "../entry/key.ts";
import type { RunningTime } from "../primitives/deadlines.ts";
import { whenAnswered } from "../primitives/reply.ts";
import { isThenable } from "../primitives/thenable.ts";
import type { Versions } from "../tags/tag-versions.ts";
import { type CallSettlers, FailureOf, type Target } from "./backend-calls.ts";
import { settle, type ReadRequest, type Settled } from "./entry-tier.ts";
import type { EntryReadsOf, ReceivedEntries } from "./received-entries.ts";
import type { SentRead } from "./remote-leases.ts";

/** The parts of a tier that one read needs. */
export interface EntryReadOf extends EntryReadsOf {
  readonly received: ReceivedEntries;
  readonly time: RunningTime;
  /** Sends a read once more. */
  repeat<R extends ReadRequest>(request: R, budgetMs: number, settled: Settled<R>): void;
}

/**
 * One read of an entry, sent by `EntryReads.readTo`. It is settled once, after that has returned.
 *
 *     opens ── the breaker is open ──▶ reject
 *      │ the backend is asked
 *     sent ── and in the same turn for the versions of tags that are not known
 *      ├─ answered ─▶ receive: decoded, checked ─▶ resolve ─▶ settled
 *      │                └─ another entry than the copy that it was asked about ─▶ that copy is dropped ─▶ sent again
 *      └─ failed ─▶ reject ─▶ settled
 *                     └─ trust had lapsed, and time is left ─▶ connected ─▶ sent again, once
 *
 * `receive`, `resolve` and `reject` are called by the `SentCall` that watches it: `receive` keeps what the answer says,
 * and `resolve` hands it on. A value that cannot be decoded is reported in `receive`, before the answer counts. With a
 * synchronous decoder nothing waits between the answer and the outcome.
 */
export class EntryRead<R extends ReadRequest> implements SentRead, CallSettlers<StoredAnswer | undefined> {
  declare readonly request: R;
  declare readonly expected: readonly string[];
  /** The remaining life of an entry counts from then on: a slow answer may shorten it, and never extends it (RFC 9111, 4.2.3). */
  declare readonly sentAt: number;
  /** The copy that the backend may confirm in place of the data. */
  declare readonly copy: Entry | undefined;
  readonly #of: EntryReadOf;
  readonly #budgetMs: number;
  readonly #settled: Settled<R>;
  readonly #isRepeated: boolean;
  /** When it was sent, by the time of calls. */
  readonly #begunAt: number;
  readonly #target: Target;
  readonly #needsVersions: boolean;
  /** The versions of `expected`, where they were asked for. */
  #versions: Versions | FailureOf | undefined;
  #entry: Awaitable<Entry | undefined>;
  #isOther = false;

  constructor(of: EntryReadOf, request: R, budgetMs: number, settled: Settled<R>, order: "first" | "repeated") {
    const { key } = request;
    this.request = request;
    this.expected = dependencies(key.space, request.expectedTags);
    this.sentAt = of.clock.now();
    this.#of = of;
    this.#budgetMs = budgetMs;
    this.#settled = settled;
    this.#isRepeated = order === "repeated";
    this.#begunAt = of.time.timeAt(this.sentAt);
    // A schema checks each value that is read.
    const copy = this.#isRepeated || request.schema ? undefined : of.copies?.copyOf(key.local);
    this.copy = copy && this.sentAt < copy.deadAt && copy.encodedBytes! >= LARGE ? copy : undefined;
    this.#target = of.calls.targetOf(key);
    this.#needsVersions = of.received.needsVersions(this);
  }

  /** Whether it may be sent now. If not, it is rejected later. */
  opens(): boolean {
    return this.#of.calls.opens("read", this.#target, this);
  }

  /** The backend was asked, and answers with `answer`. */
  sent(answer: PromiseLike<StoredAnswer | undefined>): void {
    this.#watch(this.#needsVersions ? this.#withVersions(answer) : answer);
  }

  /** The backend threw when it was asked. */
  threw(error: unknown): void {
    this.#watch(Promise.reject(error));
  }

  #watch(answer: PromiseLike<StoredAnswer | undefined>): void {
    this.#of.calls.watch("read", this.#target, this.#budgetMs, () => answer, this);
  }

  async #withVersions(answer: PromiseLike<StoredAnswer | undefined>): Promise<StoredAnswer | undefined> {
    const { calls, received, tagVersions } = this.#of;
    const asking = new Promise<Versions>((resolve) =>
      resolve(received.versionsOf(tagVersions!, this.request, this.expected)),
    ).catch((error: unknown) => new FailureOf(calls.partOfVersionReads, error));
    const stored = await new Promise<StoredAnswer | undefined>((resolve, reject) =>
      whenAnswered(answer, { resolve, reject }),
    );
    const versions = await asking;
    if (versions instanceof FailureOf && stored?.behind === undefined) throw versions;
    this.#versions = versions;
    return stored;
  }

  receive(stored: StoredAnswer | undefined): void {
    const { received } = this.#of;
    const versions = this.#versions;
    this.#isOther = stored?.isSeen === false;
    if (this.#isOther) return;
    this.request.saw?.(stored?.version ?? "");
    // Some backends say `null` where there is nothing.
    if (!stored) return;
    this.#entry =
      versions instanceof FailureOf
        ? received.unchecked(this, stored)
        : received.withCurrentVersions(this, stored, versions);
  }

  resolve(): void {
    const entry = this.#entry;
    if (this.#isOther) this.#sendWithoutCopy();
    else if (isThenable(entry)) settle(entry, this.request, this.#settled);
    else this.#settled(this.request, entry);
  }

  /** The copy is outdated: if the next read fails, it must not be served. A newer one stays. */
  #sendWithoutCopy(): void {
    const { calls, copies } = this.#of;
    const { local } = this.request.key;
    if (copies?.copyOf(local) === this.copy) copies?.drop(local);
    this.#of.repeat(this.request, calls.deadlineMs, this.#settled);
  }

  reject(error: unknown): void {
    const { unreadable } = this.#of;
    if (error instanceof DecodeError) return this.#settled(this.request, unreadable.found(this.request, error));
    const again = this.#isRepeated ? undefined : againAfter(this.#of, error, [this.request.key], this.#leftMs());
    if (again === undefined) return this.#settled(this.request, error as Error);
    void again.then((isConnected) => {
      if (isConnected) this.#of.repeat(this.request, this.#leftMs(), this.#settled);
      else this.#settled(this.request, error as Error);
    });
  }

  #leftMs(): number {
    return leftOf(this.#of, this.#budgetMs, this.#begunAt);
  }
}

/** The time that is left of `budgetMs`. @param begunAt by the time of calls. */
export const leftOf = ({ time, clock }: EntryReadOf, budgetMs: number, begunAt: number): number =>
  budgetMs - (time.timeAt(clock.now()) - begunAt);

/** Whether reads of `keys` that failed are to be sent again, and when: see `LapsedReads.again`. */
export const againAfter = (
  { calls, lapsed }: EntryReadOf,
  error: unknown,
  keys: readonly EntryKey[],
  leftMs: number,
): Promise<boolean> | undefined => (calls.isBypassed ? undefined : lapsed?.again(error, keys, leftMs));

/** Copies of fewer bytes are read without a question: another version would cost a second trip. */
const LARGE = 1_024;
