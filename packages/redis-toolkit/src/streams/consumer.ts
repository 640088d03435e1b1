import { InvalidArgumentError } from "@hotset/core";
import { keepAlive } from "@hotset/core/internal";
import { CommandError } from "../index.ts";
import { checkFunction, checkName, thrownText } from "../module/module.ts";
import { Acks } from "./acks.ts";
import type { ConsumerOptions } from "./consumer-options.ts";
import { resolveConsumerOptions, type ConsumerSettings } from "./consumer-settings.ts";
import { ZERO, type EntryId } from "./entry-id.ts";
import type { ConsumerGroup } from "./group.ts";
import { isLostGroup } from "./info.ts";
import { GroupMember, type Delivery, type Taken } from "./member.ts";
import { Slots, type ConsumerHandler } from "./slots.ts";
import { placeOf, type StreamPlace } from "./stream-place.ts";
import type { Stream } from "./stream.ts";

/** Counts since the consumer was made. */
export interface ConsumerCounts {
  /** Handlers that have ended well. */
  readonly handled: number;
  /** Handlers that threw, or rejected. */
  readonly failed: number;
  /** Deliveries of entries that had been delivered before. */
  readonly redelivered: number;
  /** Entries that became dead letters. */
  readonly buried: number;
  /** Pending entries that were deleted from the stream, and are acknowledged. */
  readonly deleted: number;
  /** How often the group was not there: at the first start, and after each loss of data. */
  readonly groupsCreated: number;
}

/** Where a group and one of its consumers are. */
export interface ConsumerStatus {
  /** Entries that are still to be delivered to the group. `undefined` where the server does not know. */
  readonly lag: number | undefined;
  /** Entries that were delivered to the group, and not acknowledged. */
  readonly pending: number;
  /** Entries that this consumer holds. */
  readonly ownPending: number;
}

/**
 * Handles the entries of a stream as a member of a group, each at least once, until it is stopped. It begins
 * immediately. While it runs, it keeps the process alive.
 *
 * @throws {InvalidArgumentError} for options that can never work. All else is reported, by `createRedis({ logger })`.
 */
export const consumer = <T>(
  stream: Stream<T>,
  group: string,
  options: ConsumerOptions<T>,
  handler: ConsumerHandler<T>,
): Consumer<T> => {
  checkFunction("consumer(stream, group, options, handler): the handler", handler);
  if (typeof (stream as Partial<Stream<T>> | null)?.append !== "function")
    throw new InvalidArgumentError(
      "consumer(stream, group, options, handler): give a stream, as streams(redis) makes it",
    );
  return new Consumer<T>(placeOf(stream), stream.group(checkName("consumer: group", group)), options, handler);
};

/**
 *   join ─▶ own ─▶ new ─▶ ...      what is read next
 *    ▲       ▲      │
 *    │       └──────┤ a read failed, or its reply was full: entries may be with this consumer already
 *    └──────────────┘ the group is lost
 *
 * One step at a time, as soon as a slot is free: what a step gives begins, and is acknowledged when it has ended.
 */
export class Consumer<T> implements AsyncDisposable {
  /** Its name in the group. */
  readonly name: string;
  readonly #place: StreamPlace;
  readonly #group: ConsumerGroup<T>;
  readonly #member: GroupMember<T>;
  readonly #settings: ConsumerSettings<T>;
  readonly #slots: Slots<T>;
  readonly #acks: Acks;
  readonly #counts = { handled: 0, failed: 0, redelivered: 0, buried: 0, deleted: 0, groupsCreated: 0 };
  readonly #stopping = new AbortController();
  readonly #ended: Promise<void>;
  #phase: "join" | "own" | "new" = "join";
  #state: "running" | "stopping" | "stopped" | "disabled" = "running";
  /** The last entry that came in turn. Entries of this consumer after it were never seen here. */
  #seen: EntryId = ZERO;
  /** What this consumer held before this process was looked at. */
  #hasOwn = false;
  /** A look for idle entries got no reply: entries of this consumer before `#seen` may never have been seen, too. */
  #lostIdle = false;
  /** Their handlers have failed: they wait for `minIdle`. Cleared when there are many, which delivers some sooner. */
  readonly #failed = new Set<EntryId>();
  /** A read without waiting may find entries. */
  #mayHaveMore = true;
  #idleAfter: EntryId = ZERO;
  #lookForIdleAt: number;
  #stopped: Promise<void> | undefined;

  constructor(place: StreamPlace, group: ConsumerGroup<T>, options: ConsumerOptions<T>, handler: ConsumerHandler<T>) {
    this.#settings = resolveConsumerOptions(options);
    this.name = this.#settings.name;
    this.#place = place;
    this.#group = group;
    this.#member = new GroupMember<T>(place, group, this.#settings);
    this.#acks = new Acks((ids) => this.#member.ack(ids));
    this.#slots = new Slots<T>({
      clock: place.module.clock,
      concurrency: this.#settings.concurrency,
      handler,
      renewEveryMs: this.#settings.minIdleMs / 3,
      renew: (ids) => this.#member.renew(ids),
      onRenewalFailed: (error) => place.module.report("stream renewal", error),
      count: (deliveries) => this.#member.count(deliveries),
      onHandled: (id) => {
        this.#counts.handled += 1;
        this.#failed.delete(id);
        this.#acks.add(id);
      },
      onFailed: (delivery, error) => this.#onFailed(delivery, error),
    });
    this.#lookForIdleAt = place.module.clock.now();
    this.#ended = this.#run();
  }

  /** `disabled`: Redis is disabled by its options, so nothing is read. */
  get state(): "running" | "stopping" | "stopped" | "disabled" {
    return this.#state;
  }

  /** The counts as they are now. */
  get counts(): ConsumerCounts {
    return { ...this.#counts };
  }

  /** Asks Redis where the group and this consumer are. @throws {BackendUnavailableError} {CommandError} */
  async status(): Promise<ConsumerStatus> {
    const [info, summary] = await Promise.all([this.#group.info(), this.#group.pending()]);
    return { lag: info?.lag, pending: summary.count, ownPending: summary.consumers.get(this.name) ?? 0 };
  }

  /**
   * Reads no more, lets handlers finish what was read, acknowledges that, and leaves the group unless entries are
   * left: those are delivered to others after `minIdle`. After `stopTimeout` the signals of handlers are aborted, and
   * they are not waited for. `redis.disconnect()` stops consumers, too. Idempotent; never rejects.
   */
  stop(): Promise<void> {
    return (this.#stopped ??= this.#stop());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(): Promise<void> {
    if (this.#state === "running") this.#state = "stopping";
    this.#stopping.abort();
    const abandon = (): void => this.#slots.abandon();
    const cancel = this.#place.module.clock.schedule(abandon, this.#settings.stopTimeoutMs);
    await this.#ended;
    cancel();
  }

  async #run(): Promise<void> {
    const { onDisconnect } = this.#place.module;
    const forget = onDisconnect(() => this.stop());
    // Its timers and a socket that is being opened would not do so.
    await keepAlive(this.#place.module.clock, this.#work());
    forget();
    if (this.#state !== "disabled") this.#state = "stopped";
  }

  async #work(): Promise<void> {
    await this.#readOn();
    await this.#drain();
    await this.#member.close();
  }

  async #readOn(): Promise<void> {
    let failures = 0;
    while (this.#state === "running")
      try {
        await this.#slots.untilFree(this.#stopping.signal);
        if (this.#stopping.signal.aborted) return;
        const phase = this.#phase;
        // Entries that were handled, and are not acknowledged, would be delivered once more.
        if (phase !== "new" || this.#acks.hasFailed) await this.#acks.settled();
        await this.#step();
        // The other steps succeed over the shared connection, while that for reads cannot be opened.
        if (phase === "new") failures = 0;
      } catch (error) {
        if (this.#stopping.signal.aborted) return;
        this.#recover(error);
        failures += 1;
        // A group that is lost is made immediately, unless it is lost each time.
        if (!isLostGroup(error) || failures > 1) await this.#pause(failures);
      }
  }

  #recover(error: unknown): void {
    if (error instanceof CommandError && error.code === "REDIS_DISABLED") this.#state = "disabled";
    if (isLostGroup(error)) this.#phase = "join";
    else if (this.#phase === "new") this.#phase = "own";
    this.#place.module.report("stream consumer", error);
  }

  async #step(): Promise<void> {
    switch (this.#phase) {
      case "join":
        return this.#join();
      case "own":
        return this.#takeOwn();
      case "new":
        await this.#takeIdle();
        return this.#readNew();
    }
  }

  async #join(): Promise<void> {
    const joined = await this.#member.join(this.#settings.onLostGroup);
    if (joined === "created") {
      this.#counts.groupsCreated += 1;
      this.#seen = ZERO;
    }
    this.#phase = "own";
  }

  async #takeOwn(): Promise<void> {
    if ((await this.#takeUnseen(this.#slots.free)).isMore) return;
    this.#hasOwn = true;
    this.#phase = "new";
  }

  /** A read is asked for again before idle entries are: what is unseen comes from one of the two. */
  async #takeUnseen(count: number): Promise<Taken<T>> {
    const lost = this.#lostIdle ? "retaken" : "lost";
    const taken = await this.#member.take(this.#hasOwn ? lost : "own", this.#seen, count);
    this.#seen = taken.next;
    this.#addTaken(taken, "failed ones wait");
    return taken;
  }

  async #takeIdle(): Promise<void> {
    const { clock, random } = this.#place.module;
    if (this.#lostIdle) await this.#takeLostIdle();
    if (clock.now() < this.#lookForIdleAt || this.#slots.free === 0) return;
    this.#lostIdle = true;
    const taken = await this.#member.take("idle", this.#idleAfter, this.#slots.free);
    this.#lostIdle = false;
    this.#idleAfter = taken.next;
    // Consumers that began together must not look together.
    if (!taken.isMore) this.#lookForIdleAt = clock.now() + (this.#settings.minIdleMs / 2) * (0.5 + random());
    this.#addTaken(taken, "failed ones are due");
  }

  /** Entries that were taken when they were idle, and whose reply was lost, lie among those that wait for `minIdle`. */
  async #takeLostIdle(): Promise<void> {
    await this.#acks.settled();
    for (let after = ZERO, isMore = true; isMore;) {
      await this.#slots.untilFree(this.#stopping.signal);
      if (this.#stopping.signal.aborted) return;
      const taken = await this.#member.take("retaken", after, this.#slots.free);
      ({ next: after, isMore } = taken);
      this.#addTaken(taken, "failed ones wait");
    }
    this.#lostIdle = false;
  }

  async #readNew(): Promise<void> {
    const { concurrency, count, blockMs } = this.#settings;
    const { free, held } = this.#slots;
    // All may be taken by what was idle.
    if (free === 0) return;
    const most = count === undefined ? free : Math.min(count, Math.max(count, concurrency) - held);
    if (most > 1 && this.#mayHaveMore) {
      const { deliveries, isMore, hasUnseen } = await this.#member.readMany(most);
      this.#mayHaveMore = isMore;
      this.#addNew(deliveries);
      if (hasUnseen) this.#phase = "own";
      if (deliveries.length > 0) return;
    }
    const leftMs = Math.ceil(this.#lookForIdleAt - this.#place.module.clock.now());
    const deliveries = await this.#member.readOne(Math.max(0, Math.min(leftMs, blockMs)), this.#stopping.signal);
    this.#mayHaveMore = deliveries.length > 0;
    this.#addNew(deliveries);
  }

  #addNew(deliveries: readonly Delivery<T>[]): void {
    this.#seen = deliveries.at(-1)?.entry.id ?? this.#seen;
    this.#slots.add(deliveries);
  }

  /** @param failures whether entries whose handlers have failed here have waited for `minIdle` */
  #addTaken(taken: Taken<T>, failures: "failed ones wait" | "failed ones are due"): void {
    this.#countBuried(taken);
    const isWaiting = (id: EntryId): boolean => failures === "failed ones wait" && this.#failed.has(id);
    const isNew = ({ entry: { id } }: Delivery<T>): boolean =>
      !this.#slots.has(id) && !this.#acks.has(id) && !isWaiting(id);
    const deliveries = taken.deliveries.filter(isNew);
    this.#counts.redelivered += deliveries.filter((delivery) => delivery.deliveries > 1).length;
    this.#slots.add(deliveries);
  }

  async #onFailed(delivery: Delivery<T>, error: unknown): Promise<void> {
    const { report } = this.#place.module;
    const { onError, maxDeliveries } = this.#settings;
    this.#counts.failed += 1;
    if (this.#failed.size >= MAX_FAILED) this.#failed.clear();
    this.#failed.add(delivery.entry.id);
    try {
      if (onError === undefined) report("stream handler", error);
      else await onError(error, delivery);
    } catch (thrown) {
      report("stream onError", thrown);
    }
    if (delivery.deliveries < maxDeliveries) return;
    try {
      this.#countBuried(await this.#member.bury(delivery.entry.id, thrownText(error, MAX_ERROR_LENGTH)));
      this.#failed.delete(delivery.entry.id);
    } catch (problem) {
      // It stays pending, and is buried when it is idle.
      report("stream consumer", problem);
    }
  }

  #countBuried({ buried, deleted, problems }: Pick<Taken<T>, "buried" | "deleted" | "problems">): void {
    this.#counts.buried += buried;
    this.#counts.deleted += deleted;
    for (const problem of problems)
      this.#place.module.report(
        "stream dead letters",
        new CommandError(`an entry could not be moved to the dead letters, and stays pending: ${problem}`, {
          code: "REFUSED",
          operation: "XADD",
          retryable: true,
        }),
      );
  }

  /** The server may have delivered entries at the moment in which the read was ended. */
  async #drain(): Promise<void> {
    await this.#slots.untilIdle();
    if (this.#phase === "join") return;
    try {
      await this.#acks.settled();
      while (!this.#slots.isAbandoned) {
        const taken = await this.#takeUnseen(this.#settings.concurrency);
        await this.#slots.untilIdle();
        await this.#acks.settled();
        if (!taken.isMore) break;
      }
      // What is unseen was taken when it was idle otherwise: that is not counted.
      if (this.#slots.isAbandoned && this.#hasOwn && !this.#lostIdle)
        await this.#member.release(this.#seen, [...this.#slots.ids, ...this.#failed]);
      await this.#member.leave();
    } catch (error) {
      if (!isLostGroup(error)) this.#place.module.report("stream consumer", error);
    }
  }

  /** Exponential with full jitter; `stop` ends it. */
  async #pause(failures: number): Promise<void> {
    const { clock, random } = this.#place.module;
    const waitMs = random() * Math.min(MAX_PAUSE_MS, BASE_PAUSE_MS * 2 ** failures);
    const { signal } = this.#stopping;
    await new Promise<void>((resolve) => {
      const cancel = clock.schedule(end, waitMs);
      signal.addEventListener("abort", end);
      function end(): void {
        cancel();
        signal.removeEventListener("abort", end);
        resolve();
      }
    });
  }
}

const BASE_PAUSE_MS = 50;
const MAX_PAUSE_MS = 5_000;
const MAX_ERROR_LENGTH = 1_000;
const MAX_FAILED = 10_000;
