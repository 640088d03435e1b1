import type { Awaitable } from "../contracts/awaitable.ts";
import type { Batch, StoredAnswer } from "../contracts/capabilities.ts";
import type { Entry } from "../entry/entry.ts";
import { dependencies } from "../entry/key.ts";
import { runningTime, type RunningTime } from "../primitives/deadlines.ts";
import { describe } from "../primitives/duration.ts";
import { ignore } from "../primitives/ignore.ts";
import { isThenable } from "../primitives/thenable.ts";
import type { Versions } from "../tags/tag-versions.ts";
import { againAfter, EntryRead, type EntryReadOf, leftOf } from "./entry-read.ts";
import { settle, type ReadRequest, type Settled } from "./entry-tier.ts";
import { type EntryReadsOf, ReceivedEntries } from "./received-entries.ts";
import type { SentRead } from "./remote-leases.ts";

/** Reads of entries from one backend: sent, decoded, and checked against the current tag versions. */
export class EntryReads {
  declare readonly time: RunningTime;
  readonly #of: EntryReadOf;

  constructor(of: EntryReadsOf) {
    this.time = runningTime(of.clock);
    this.#of = {
      ...of,
      received: new ReceivedEntries(of),
      time: this.time,
      repeat: (request, budgetMs, settled) => this.readTo(request, budgetMs, settled, "repeated"),
    };
  }

  /** The entry if its tag versions are current; stale from now on if one of them was marked stale. */
  read(request: ReadRequest, budgetMs: number): Promise<Entry | undefined> {
    return new Promise((resolve, reject) =>
      this.readTo(request, budgetMs, (_, outcome) => (outcome instanceof Error ? reject(outcome) : resolve(outcome))),
    );
  }

  /** Sends the read, and with it that of the tag versions, before it returns. @param settled called once, after that. */
  readTo<R extends ReadRequest>(
    request: R,
    budgetMs: number,
    settled: Settled<R>,
    order: "first" | "repeated" = "first",
  ): void {
    const read = new EntryRead(this.#of, request, budgetMs, settled, order);
    if (!read.opens()) return;
    let answer: PromiseLike<StoredAnswer | undefined>;
    try {
      // Called here: few frames lie between a caller and its backend.
      answer = this.#of.backend.read(request.key.backend, read.copy?.version);
    } catch (error) {
      return read.threw(error);
    }
    read.sent(answer);
  }

  /** An entry that came with another answer, decoded and checked like one that was read. */
  withCurrentVersions(read: SentRead, stored: StoredAnswer): Awaitable<Entry | undefined> {
    return this.#of.received.withCurrentVersions(read, stored, undefined);
  }

  /**
   * Calls `settled` once for the index of each request, after it has returned: as soon as that read has ended. In one
   * trip to each part of the backend: the failure of one fails the reads of no other.
   */
  readMany<R extends ReadRequest>(requests: readonly R[], budgetMs: number, settled: Settled<R>): void {
    const { batch } = this.#of.backend;
    if (batch === undefined || requests.length < 2)
      return requests.forEach((each) => this.readTo(each, budgetMs, settled));
    const byPart = Map.groupBy(requests, ({ key }) => this.#of.calls.partOf(key.backend));
    for (const [part, its] of byPart) void this.#readTogether(batch, { requests: its, part }, budgetMs, settled);
  }

  /**
   * In one trip: if it fails, all reads fail. Where the backend could not read some of the keys, these fail, and are
   * reported once. A second trip, for unexpected tags of one entry, fails alone.
   */
  async #readTogether<R extends ReadRequest>(
    batch: Batch,
    { requests, part }: { readonly requests: readonly R[]; readonly part: string },
    budgetMs: number,
    settled: Settled<R>,
    isRepeated = false,
  ): Promise<void> {
    const request = requests[0]!;
    const { received } = this.#of;
    const { space } = request.key;
    const expected = dependencies(space, request.expectedTags);
    const sentAt = this.#of.clock.now();
    const begunAt = this.time.timeAt(sentAt);
    const needsVersions = received.needsVersions({ request, expected, sentAt });
    let stored: Awaited<ReturnType<Batch["read"]>> = [];
    let versions: Versions | undefined;
    let unread: Error | undefined;
    try {
      await this.#of.calls.run("read", { keySpace: space, part }, budgetMs, async () => {
        const answer = batch.read(requests.map(({ key }) => key.backend));
        const current = needsVersions ? received.versionsOf(this.#of.tagVersions!, request, expected) : undefined;
        current?.catch(ignore);
        stored = checkedBatch(await answer, requests.length);
        versions = await current;
      });
      if (this.#of.tagVersions !== undefined) versions ??= await received.currentVersions(request, expected);
    } catch (error) {
      unread = error as Error;
      const leftMs = (): number => leftOf(this.#of, budgetMs, begunAt);
      const keys = requests.map(({ key }) => key);
      const again = isRepeated ? undefined : againAfter(this.#of, error, keys, leftMs());
      if (again !== undefined && (await again))
        return this.#readTogether(batch, { requests, part }, leftMs(), settled, true);
    }
    const failure = stored.find((found) => found instanceof Error);
    const error = failure && this.#of.calls.report("read", space, failure);
    requests.forEach((each, i) => {
      const found = stored[i];
      if (found instanceof Error) return settled(each, error);
      if (unread !== undefined && found?.behind === undefined) return settled(each, unread);
      each.saw?.(found?.version ?? "");
      if (!found) return settled(each, undefined);
      const read = { request: each, expected, sentAt };
      const entry = unread ? received.unchecked(read, found) : received.decode(read, found, versions);
      if (isThenable(entry)) settle(entry, each, settled);
      else settled(each, entry);
    });
  }
}

/** @throws {TypeError} for an answer that does not say for each key what was found. */
function checkedBatch<T>(found: readonly T[], count: number): readonly T[] {
  if (Array.isArray(found) && found.length === count) return found;
  const got = Array.isArray(found) ? `${found.length} of them` : describe(found);
  throw new TypeError(`batch.read must resolve to an array with one item for each of ${count} keys, got ${got}`);
}
