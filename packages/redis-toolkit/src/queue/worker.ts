import { BackendUnavailableError, ConfigurationError, DecodeError } from "@hotset/core";
import { keepAlive, newId } from "@hotset/core/internal";
import type { Module } from "../module/module.ts";
import { Delivery, type AbandonedJob, type FailedJob, type Handler } from "./delivery.ts";
import type { JobAbandonedError } from "./errors.ts";
import { readRecord } from "./job.ts";
import { contradictions, DEFAULT_BACKOFF, givesOptions, type QueueSettings } from "./options.ts";
import type { Fired } from "./repeats.ts";
import type { DueRepeat, ExchangeReply, Outcome, QueueStore } from "./store.ts";
import { WakeListener } from "./wake-listener.ts";
import type { WorkerSettings } from "./worker-settings.ts";

/** Counted by this worker since it began. */
export interface WorkerStats {
  /** Deliveries that it began. */
  readonly delivered: number;
  /** Deliveries whose handler has ended well. */
  readonly completed: number;
  /** Failed deliveries that are tried again. */
  readonly retried: number;
  /** To the dead letters. */
  readonly dead: number;
  /**
   * Reports that were refused, since the delivery was not this worker's any more, or since they were sent again after
   * their reply was lost.
   */
  readonly lost: number;
}

/** Handles the jobs of a queue, until it is stopped. Trouble is reported to `logger`, and it continues after it. */
export interface Worker extends AsyncDisposable {
  /** Counts of this worker. */
  readonly stats: WorkerStats;
  /** Handlers that run. */
  readonly active: number;
  /** Whether this worker takes no jobs since its `pause`. */
  readonly isPaused: boolean;
  /** Takes no more jobs with this worker; handlers that run go on. `queue.pause()` pauses all workers. */
  pause(): void;
  /** Ends its pause. */
  resume(): void;
  /**
   * Takes no more jobs, waits for its handlers for `grace`, then aborts their signals and puts back the jobs of those
   * that fail then. A handler that has not ended a second later is left to its lease, and reports that Redis does not
   * take for 5 seconds more are dropped. `redis.disconnect()` does the same; until workers have stopped, handlers may
   * begin and await what they like, `finished` and subscriptions too. Never rejects. Idempotent.
   */
  stop(): Promise<void>;
}

export interface WorkerParts<T, R> {
  readonly module: Module;
  readonly store: QueueStore;
  readonly queue: QueueSettings<T>;
  readonly handler: Handler<T, R>;
  /** Adds the jobs of repeats that are due. Never rejects. */
  readonly fire: (due: readonly DueRepeat[], now: number) => Promise<Fired>;
  /** Rejects where the server must not be used. */
  readonly allowed: () => Promise<void>;
}

/** In one script at most. */
const MAX_EXCHANGED = 100;
/** Handlers that ignore their signal are left after it. */
const ABORTED_MS = 1_000;
const FLUSH_MS = 5_000;
/** An exchange that got no reply for so long is given twice the time when it is sent again. */
const SLOW_MS = 500;
const MAX_DEADLINE_MS = 60_000;
const RETRY_BASE_MS = 50;
const RETRY_MAX_MS = 5_000;
/** The least time between two looks for jobs that are due. */
const MIN_DUE_MS = 10;

/**
 * Takes jobs and reports their outcomes, both in one script: an exchange. One exchange follows another, never two at a
 * time, so what ends meanwhile is reported together. Without jobs it waits for a wake, and for the next instant at
 * which something is due.
 */
export class QueueWorker<T, R> implements Worker {
  readonly #parts: WorkerParts<T, R>;
  readonly #settings: WorkerSettings<T>;
  readonly #wake: WakeListener;
  readonly #running = new Set<Delivery<T, R>>();
  /** Options that were reported. */
  readonly #contradicted = new Set<string>();
  readonly #stats = { delivered: 0, completed: 0, retried: 0, dead: 0, lost: 0 };
  readonly #ended = Promise.withResolvers<void>();
  readonly #forget: () => void;
  #outcomes: Outcome[] = [];
  #exchanging: Promise<void> | undefined;
  #mayHaveJobs = true;
  /** A wake that this worker has no room for, to be passed on. */
  #hasSpareWake = false;
  #isWaiting = false;
  /** Since the exchange in flight was sent: its reply may be older than the job. */
  #wasWoken = false;
  #isPaused = false;
  /** Token of the deliveries that the next exchange takes; sent again until a reply has come. */
  #token = newId();
  #isAgain = false;
  /** For an exchange whose predecessor got no reply in time: its reply may come slowly. */
  #deadlineMs: number | undefined;
  /** Until a timer: the rate allows nothing, or an exchange has failed. */
  #pause: "none" | "limited" | "failed" = "none";
  #failures = 0;
  /** The last exchange failed in a way that no repeat can mend: the connection was closed, or is refused. */
  #isCutOff = false;
  #phase: "running" | "stopping" | "stopped" = "running";
  #cancelDue: () => void = () => undefined;
  #cancelHeartbeat: () => void = () => undefined;
  #stopped: Promise<void> | undefined;
  /** Called when a handler has ended. */
  #onSettled: () => void = () => undefined;

  constructor(parts: WorkerParts<T, R>, settings: WorkerSettings<T>) {
    this.#parts = parts;
    this.#settings = settings;
    this.#wake = new WakeListener(parts.module, parts.store.keys.wake);
    this.#forget = parts.module.onDisconnect(() => this.stop());
    void keepAlive(parts.module.clock, this.#ended.promise);
    if (settings.isAuto) this.#beatLater();
    this.#pump();
  }

  get stats(): WorkerStats {
    return { ...this.#stats };
  }

  get active(): number {
    return this.#running.size;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#mayHaveJobs = true;
    this.#pump();
  }

  stop(): Promise<void> {
    return (this.#stopped ??= this.#stop());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(): Promise<void> {
    this.#phase = "stopping";
    const { graceMs } = this.#settings;
    const closed = this.#wake.close();
    await this.#settledWithin(graceMs);
    for (const delivery of this.#running) delivery.stop();
    await this.#settledWithin(ABORTED_MS);
    // Once more immediately, where the last exchange has failed.
    this.#pause = "none";
    this.#pump();
    await this.#until(FLUSH_MS, () => this.#exchanging === undefined && (this.#isCutOff || !this.#needsExchange));
    this.#phase = "stopped";
    this.#cancelDue();
    this.#cancelHeartbeat();
    this.#forget();
    await closed;
    this.#ended.resolve();
  }

  #settledWithin(ms: number): Promise<void> {
    return this.#until(ms, () => this.#running.size === 0);
  }

  /** Resolves once `isDone`, looked at whenever something has ended, or after `ms`. */
  #until(ms: number, isDone: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        cancel();
        this.#onSettled = () => undefined;
        resolve();
      };
      const cancel = this.#parts.module.clock.schedule(end, ms);
      this.#onSettled = () => isDone() && end();
      this.#onSettled();
    });
  }

  get #free(): number {
    const mayTake = this.#phase === "running" && !this.#isPaused;
    return mayTake ? Math.max(0, this.#settings.concurrency - this.#running.size) : 0;
  }

  /** Jobs that were taken, and whose delivery was lost, are with this worker until it asks for them. */
  get #needsExchange(): boolean {
    const mustSend = this.#outcomes.length > 0 || this.#hasSpareWake || this.#isAgain;
    return mustSend || (this.#mayHaveJobs && this.#free > 0);
  }

  /** Exchanges as long as there is something to report or to take, then waits. */
  #pump(): void {
    if (this.#exchanging !== undefined || this.#pause === "failed" || this.#phase === "stopped") return;
    if (this.#needsExchange)
      this.#exchanging = this.#exchange().then(() => {
        this.#exchanging = undefined;
        this.#onSettled();
        this.#pump();
      });
    else this.#waitForWake();
  }

  /** Never rejects. */
  async #exchange(): Promise<void> {
    // Handlers that end in the same turn are reported together.
    if (this.#running.size > 0) await new Promise((resolve) => setImmediate(resolve));
    const { module } = this.#parts;
    const count = this.#mayHaveJobs || this.#outcomes.length > 0 ? Math.min(this.#free, MAX_EXCHANGED) : 0;
    const outcomes = this.#outcomes.splice(0, MAX_EXCHANGED);
    const sentAt = module.clock.now();
    const hadSpareWake = this.#hasSpareWake;
    this.#hasSpareWake = false;
    this.#wasWoken = false;
    let reply: ExchangeReply;
    try {
      await this.#parts.allowed();
      reply = await this.#send(count, outcomes);
    } catch (error) {
      // Outcomes that were carried out are refused when they are sent again, which changes nothing.
      this.#outcomes.unshift(...outcomes);
      this.#hasSpareWake ||= hadSpareWake;
      this.#isAgain = true;
      this.#deadlineMs = Math.min(2 * (module.clock.now() - sentAt), MAX_DEADLINE_MS);
      return this.#backOff(error);
    }
    const token = this.#token;
    this.#token = newId();
    this.#isAgain = false;
    this.#isCutOff = false;
    this.#failures = 0;
    this.#count(outcomes, reply);
    this.#plan(count, reply);
    await this.#begin(reply, token, sentAt);
    this.#compareOptions(reply.delivered);
    if (reply.corrupt > 0)
      module.report(
        "queue: corrupt jobs",
        new DecodeError(`${reply.corrupt} jobs without a record that can be read were removed`),
      );
    if (this.#wasWoken && this.#free === 0) this.#hasSpareWake = true;
    if (reply.dueRepeats.length > 0) await this.#fire(reply);
  }

  #send(count: number, outcomes: readonly Outcome[]): Promise<ExchangeReply> {
    const { keepCompleted, keepFailed, attempts } = this.#parts.queue;
    const { visibilityMs, rate, maxReplyBytes, queueConcurrency, groupConcurrency } = this.#settings;
    const isSlow = this.#isAgain && this.#deadlineMs !== undefined && this.#deadlineMs >= SLOW_MS;
    return this.#parts.store.exchange({
      ...{ keepCompleted, keepFailed, attempts, visibilityMs, rate, count, outcomes },
      ...{ token: this.#token, isAgain: this.#isAgain },
      ...{ maxBytes: maxReplyBytes, maxActive: queueConcurrency, maxOfGroup: groupConcurrency },
      ...(isSlow && { deadlineMs: this.#deadlineMs }),
    });
  }

  /**
   * Starts what was delivered. It is marked as begun before any handler runs, so that a handler that ends the process
   * counts; the answer is not waited for. A delivery whose lease has ended on its way goes back.
   */
  async #begin({ delivered, now }: ExchangeReply, token: string, sentAt: number): Promise<void> {
    const { store, module } = this.#parts;
    const { visibilityMs } = this.#settings;
    const mayBegin = this.#phase === "running" && module.clock.now() < sentAt + visibilityMs;
    if (delivered.length > 0 && mayBegin) {
      // Heartbeats mark it as well.
      const ids = delivered.map(({ id }) => id);
      store.begin(ids, now + visibilityMs).catch((error: unknown) => module.report("queue: begin", error));
      // node-redis writes at the end of a turn.
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    }
    for (const one of delivered) this.#start(one, { token, sentAt, mayBegin });
  }

  /** Each option that this queue and that of a producer give differently is reported once. */
  #compareOptions(delivered: ExchangeReply["delivered"]): void {
    const { module, queue } = this.#parts;
    if (!givesOptions(queue)) return;
    for (const { record: text } of delivered) {
      const record = readRecord(text);
      for (const option of record === undefined ? [] : contradictions(record, queue)) {
        if (this.#contradicted.has(option)) continue;
        this.#contradicted.add(option);
        const counts = option.startsWith("keep") ? "worker" : "producer";
        const text = `queue: ${option} differs between the queue() that adds jobs and that of this worker`;
        module.report(
          `queue: ${option}`,
          new ConfigurationError(`${text}: the ${counts}'s counts; give both the same, or leave it out in one of them`),
        );
      }
    }
  }

  /** An exchange gives few of those that are due, and a new job need not wake a worker: it may be a duplicate. */
  async #fire({ dueRepeats, now }: ExchangeReply): Promise<void> {
    const { fired, errors } = await this.#parts.fire(dueRepeats, now);
    for (const error of errors) this.#parts.module.report("queue: repeats", error);
    if (fired > 0) this.#mayHaveJobs = true;
  }

  #backOff(error: unknown): void {
    const { module } = this.#parts;
    module.report("queue: exchange", error);
    this.#isCutOff = error instanceof BackendUnavailableError && !error.retryable;
    this.#failures += 1;
    const ms = Math.min(RETRY_MAX_MS, RETRY_BASE_MS * 2 ** this.#failures) * (0.5 + module.random() / 2);
    this.#pause = "failed";
    this.#lookAgainIn(ms);
  }

  #count(outcomes: readonly Outcome[], { isOwn }: ExchangeReply): void {
    outcomes.forEach(({ kind }, i) => {
      if (isOwn[i] !== true) this.#stats.lost += 1;
      else if (kind !== "return") this.#stats[COUNTED[kind]] += 1;
    });
  }

  /** When to look again. */
  #plan(count: number, { delivered, limitedMs, nextInMs, isMore }: ExchangeReply): void {
    if (count === 0) return;
    this.#mayHaveJobs = this.#wasWoken || isMore || delivered.length >= count;
    this.#pause = limitedMs > 0 ? "limited" : "none";
    const ms = limitedMs > 0 ? limitedMs : nextInMs;
    this.#cancelDue();
    if (ms !== undefined) this.#lookAgainIn(Math.max(ms, MIN_DUE_MS));
  }

  #lookAgainIn(ms: number): void {
    this.#cancelDue();
    this.#cancelDue = this.#parts.module.clock.schedule(() => {
      this.#pause = "none";
      this.#mayHaveJobs = true;
      this.#pump();
    }, ms);
  }

  /** Not while the rate allows nothing: there is work, so the wake would come immediately. */
  #waitForWake(): void {
    if (this.#isWaiting || this.#free === 0 || this.#pause !== "none") return;
    this.#isWaiting = true;
    void this.#wake.wait().then((isWoken) => {
      this.#isWaiting = false;
      this.#wasWoken ||= isWoken;
      if (this.#free > 0) this.#mayHaveJobs = true;
      else this.#hasSpareWake ||= isWoken;
      this.#pump();
    });
  }

  #start(
    delivered: ExchangeReply["delivered"][number],
    { token, sentAt, mayBegin }: { readonly token: string; readonly sentAt: number; readonly mayBegin: boolean },
  ): void {
    if (!mayBegin || this.#phase !== "running") {
      this.#outcomes.push({ kind: "return", id: delivered.id, token, detail: "", delayMs: 0, error: "" });
      return;
    }
    const { module, queue, handler, store } = this.#parts;
    const { visibilityMs, abandonAfterMs } = this.#settings;
    const delivery = new Delivery<T, R>(delivered, token, {
      handler,
      schema: queue.schema,
      backoff: queue.backoff ?? DEFAULT_BACKOFF,
      timeoutMs: queue.timeoutMs,
      visibilityMs,
      abandonAfterMs,
      clock: module.clock,
      extend: async (extension) => (await store.extend([extension]))[0] === true,
      log: async (id, text) => void (await store.log(id, text)),
      children: async (id) => (await store.children(id)) ?? [],
      onFailed: (error, job) => void this.#reportFailure(error, job),
      onAbandoned: (error, job) => void this.#reportAbandoned(error, job),
    });
    this.#stats.delivered += 1;
    this.#running.add(delivery);
    delivery.extendLease(sentAt);
    void delivery.run().then((outcome) => {
      this.#running.delete(delivery);
      this.#outcomes.push(outcome);
      this.#onSettled();
      this.#pump();
    });
  }

  /** Never rejects. */
  async #reportFailure(error: unknown, job: FailedJob<T>): Promise<void> {
    const { report } = this.#parts.module;
    const { onError } = this.#settings;
    if (onError === undefined) return report("queue: handler", error);
    try {
      await onError(error, job);
    } catch (thrown) {
      report("queue: onError", thrown);
    }
  }

  /** Never rejects. */
  async #reportAbandoned(error: JobAbandonedError, job: AbandonedJob<T>): Promise<void> {
    const { report } = this.#parts.module;
    const { onAbandoned } = this.#settings;
    if (onAbandoned === undefined) return report("queue: abandoned handler", error);
    try {
      await onAbandoned(error, job);
    } catch (thrown) {
      report("queue: onAbandoned", thrown);
    }
  }

  #beatLater(): void {
    const { module } = this.#parts;
    this.#cancelHeartbeat = module.clock.schedule(() => {
      void this.#beat().catch((error: unknown) => module.report("queue: heartbeat", error));
      this.#beatLater();
    }, this.#settings.visibilityMs / 3);
  }

  async #beat(): Promise<void> {
    const { store, module } = this.#parts;
    const { visibilityMs } = this.#settings;
    const all = [...this.#running];
    for (let i = 0; i < all.length; i += MAX_EXCHANGED) {
      const some = all.slice(i, i + MAX_EXCHANGED);
      const sentAt = module.clock.now();
      const isOwn = await store.extend(some.map(({ id, token }) => ({ id, token, visibilityMs, progress: "" })));
      some.forEach((delivery, j) => {
        if (!this.#running.has(delivery)) return;
        if (isOwn[j] === true) delivery.extendLease(sentAt);
        else delivery.lose();
      });
    }
  }
}

const COUNTED = { complete: "completed", retry: "retried", dead: "dead" } as const;
