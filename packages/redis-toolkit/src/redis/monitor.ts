import { InvalidArgumentError } from "@hotset/core";
import type { RedisConnection } from "../client/contract.ts";
import { shown } from "../module/module.ts";
import type { RedisSettings } from "../settings/settings.ts";

/** Events of `redis.on`, and their details. */
export interface RedisEvents {
  /** Redis can be reached again, after so many milliseconds. */
  readonly up: { readonly awayMs: number };
  /** Redis cannot be reached any more, and why. */
  readonly down: { readonly error: unknown };
  /** Once for each time it is down: it was for `unavailableAfter`. */
  readonly unavailable: { readonly awayMs: number; readonly error: unknown };
}

const EVENTS: readonly (keyof RedisEvents)[] = ["up", "down", "unavailable"];

type MonitorSettings = Pick<
  RedisSettings,
  "clock" | "checkIntervalMs" | "unavailableAfterMs" | "commandTimeoutMs" | "logger"
>;

type Listener = (details: never) => unknown;

/** Asks Redis in an interval whether it is there, and reports when that changes. */
export class Monitor {
  readonly #connection: RedisConnection;
  readonly #settings: MonitorSettings;
  readonly #listeners = new Map<keyof RedisEvents, Set<Listener>>();
  #cancel: (() => void) | undefined;
  /** Since when Redis is down, by the clock. */
  #awaySince: number | undefined;
  #isUp = false;
  /** How often Redis was lost. */
  losses = 0;
  #isReported = false;
  #isStopped = false;
  /** The error of the last check, if it failed. */
  lastError: Error | undefined;

  constructor(connection: RedisConnection, settings: MonitorSettings) {
    this.#connection = connection;
    this.#settings = settings;
  }

  get isRunning(): boolean {
    return this.#cancel !== undefined;
  }

  on(event: keyof RedisEvents, listener: Listener): () => void {
    if (!EVENTS.includes(event))
      throw new InvalidArgumentError(`on: the events are ${EVENTS.join(", ")}, got ${shown(event)}`);
    if (typeof listener !== "function")
      throw new InvalidArgumentError("on(event, listener): the listener must be a function");
    let listeners = this.#listeners.get(event);
    if (listeners === undefined) this.#listeners.set(event, (listeners = new Set()));
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  start(): void {
    if (this.#cancel !== undefined) return;
    const { clock, checkIntervalMs } = this.#settings;
    const next = (): void => {
      this.#cancel = clock.schedule(
        () => void this.look().finally(() => this.#cancel !== undefined && next()),
        checkIntervalMs,
      );
    };
    next();
  }

  /** For good: a look that is under way reports nothing any more. */
  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  /** Asks now. @returns whether Redis answered */
  async look(): Promise<boolean> {
    const { clock, checkIntervalMs, commandTimeoutMs } = this.#settings;
    try {
      await this.#connection.call(["PING"], {
        deadlineMs: Math.min(commandTimeoutMs, checkIntervalMs),
        patienceMs: 0,
      });
    } catch (error) {
      this.#away(error);
      return false;
    }
    this.lastError = undefined;
    const awayMs = this.#awaySince === undefined ? 0 : clock.now() - this.#awaySince;
    this.#awaySince = undefined;
    this.#isReported = false;
    if (!this.#isUp) {
      this.#isUp = true;
      this.#settings.logger?.info(`hotset: redis is up${awayMs > 0 ? ` again, after ${Math.round(awayMs)} ms` : ""}`);
      this.#emit("up", { awayMs });
    }
    return true;
  }

  #away(error: unknown): void {
    const { clock, unavailableAfterMs, logger } = this.#settings;
    this.lastError = error instanceof Error ? error : new Error(String(error));
    if (this.#isStopped) return;
    const isFirst = this.#awaySince === undefined;
    this.#awaySince ??= clock.now();
    const awayMs = clock.now() - this.#awaySince;
    if (isFirst) {
      this.losses += 1;
      this.#isUp = false;
      logger?.warn(`hotset: redis is down: ${this.lastError.message}`);
      this.#emit("down", { error });
    }
    if (this.#isReported || awayMs < unavailableAfterMs) return;
    this.#isReported = true;
    logger?.error(`hotset: redis has been away for ${Math.round(awayMs)} ms`);
    this.#emit("unavailable", { awayMs, error });
  }

  /** An error of a listener is reported nowhere, as with a cache: observing must not change what is observed. */
  #emit<E extends keyof RedisEvents>(event: E, details: RedisEvents[E]): void {
    for (const listener of this.#listeners.get(event) ?? [])
      try {
        Promise.resolve(listener(details as never)).catch(() => undefined);
      } catch {
        continue;
      }
  }
}
