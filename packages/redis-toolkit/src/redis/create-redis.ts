import { keepAlive } from "@hotset/core/internal";
import type { ConnectionCounts, PoolStatus, RedisConnection } from "../client/contract.ts";
import { openConnection } from "../client/open-connection.ts";
import { LenientFailures } from "../commands/lenient.ts";
import { SharedModule } from "../commands/shared-module.ts";
import { RedisView } from "../commands/view.ts";
import type { ModuleCounts } from "../module/counts.ts";
import type { RedisOptions } from "../settings/options.ts";
import { resolveSettings, type RedisSettings } from "../settings/settings.ts";
import { Monitor, type RedisEvents } from "./monitor.ts";

/** `idle` before the first use, `down` while a connection is tried for, `closed` after `disconnect`. */
export type RedisState = "disabled" | "idle" | "up" | "down" | "closed";

/** Counts of one connection and its modules. */
export interface RedisClientStats {
  /** As {@link Redis.state}. */
  readonly state: RedisState;
  /** Commands on the shared connection without a reply. */
  readonly inFlight: number;
  /** Connections for `transaction` and `pool.use`. */
  readonly pool: PoolStatus;
  /** How often Redis was lost since `initialize`. */
  readonly losses: number;
  /** Bytes on the wire, reads that were sent again, and how often the shared connection came back. */
  readonly connection: ConnectionCounts;
  /** Locks, limits, sessions and subscriptions, of all views. */
  readonly modules: ModuleCounts;
}

/** Redis, as the options, the environment and the `.env` file say. */
export class Redis extends RedisView {
  readonly #connection: RedisConnection;
  readonly #modules: SharedModule;
  readonly #monitor: Monitor;
  readonly #settings: RedisSettings;
  #disconnected: Promise<void> | undefined;

  constructor(settings: RedisSettings) {
    const connection = openConnection(settings.address.connection, {
      username: settings.address.username,
      password: settings.address.password,
      clientName: settings.clientName,
      protocol: settings.protocol,
      connectTimeoutMs: settings.connectTimeoutMs,
      responseTimeoutMs: settings.commandTimeoutMs,
      maxInFlight: settings.maxInFlight,
      onOverload: settings.onOverload,
      readRetries: settings.readRetries,
      patienceMs: settings.patienceMs,
      backoff: settings.backoff,
      pool: settings.pool,
      clock: settings.clock,
    });
    const modules = new SharedModule(settings);
    super({ ...settings, connection, modules, failures: new LenientFailures(settings.logger, settings.clock) });
    this.#modules = modules;
    this.#connection = connection;
    this.#settings = settings;
    this.#monitor = new Monitor(connection, settings);
  }

  /** Name of this client, as `CLIENT LIST` and the tracing channel have it. */
  get clientName(): string {
    return this.#settings.clientName;
  }

  /** Whether Redis is to be used: what was configured, not whether it is there. */
  get isEnabled(): boolean {
    return this.#settings.isEnabled;
  }

  /** Whether a command could be sent now. */
  get isReady(): boolean {
    return this.isEnabled && this.#disconnected === undefined && this.#connection.isUp;
  }

  /** `disabled` by the options, `idle` before `initialize`, `up`, `down`, or `closed` after `disconnect`. */
  get state(): RedisState {
    if (!this.isEnabled) return "disabled";
    if (this.#disconnected !== undefined) return "closed";
    return this.#connection.isUp ? "up" : this.#monitor.isRunning ? "down" : "idle";
  }

  /** Why Redis could not be reached by `initialize`, or since; `undefined` once it can. Shows no secret. */
  get lastError(): Error | undefined {
    return this.#monitor.lastError;
  }

  /** For metrics: copies numbers, and asks nothing. */
  stats(): RedisClientStats {
    const { inFlight, pool, counts: connection } = this.#connection;
    const { losses } = this.#monitor;
    return { state: this.state, inFlight, pool: pool.status, losses, connection, modules: { ...this.#modules.counts } };
  }

  /**
   * Connects, and watches Redis from now on. Not needed before commands, which connect on their own. Never rejects.
   *
   * @returns whether Redis is there. `false` where `state` is `disabled` or `closed`, and where it is `down`: then
   *   `lastError` is the reason, and it is tried again and again.
   */
  async initialize(): Promise<boolean> {
    if (!this.isEnabled || this.#disconnected !== undefined) return false;
    this.#monitor.start();
    return this.#monitor.look();
  }

  /**
   * `up` and `down` when Redis can be reached again, or not any more; `unavailable` once, when it was down for
   * `unavailableAfter`. Only after `initialize`. @returns a function that removes the listener
   *
   * @throws {InvalidArgumentError} for another event, and for what is not a function.
   */
  on<E extends keyof RedisEvents>(event: E, listener: (details: RedisEvents[E]) => unknown): () => void {
    return this.#monitor.on(event, listener);
  }

  /**
   * Stops the modules that work in the background, such as consumers, then lets commands in flight finish, within their
   * deadlines, and closes the connections. Idempotent.
   */
  disconnect(): Promise<void> {
    this.#monitor.stop();
    const { clock } = this.#settings;
    return (this.#disconnected ??= keepAlive(clock, this.#modules.stop()).then(() => this.#connection.close()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.disconnect();
  }
}

/**
 * Reads and checks everything, and opens nothing.
 *
 * @throws {ConfigurationError} for an option, variable or TLS file that can never work. It shows no secret.
 */
export const createRedis = (options?: RedisOptions): Redis => new Redis(resolveSettings(options));

let shared: Redis | undefined;

/**
 * One for the whole process, made by `createRedis()` at the first call, and again by the first call after its
 * `disconnect()`. If that throws, the next call tries again.
 */
export const defaultRedis = (): Redis =>
  (shared = shared?.state === "closed" ? createRedis() : (shared ?? createRedis()));

/** For tests: the next `defaultRedis()` makes another one. */
export async function resetDefaultRedis(): Promise<void> {
  const former = shared;
  shared = undefined;
  await former?.disconnect();
}
