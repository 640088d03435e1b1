import {
  BackendUnavailableError,
  InvalidArgumentError,
  OverloadedError,
  systemClock,
  type Awaitable,
  type Clock,
} from "@hotset/core";
import { closed, send, type Link } from "./connection/link.ts";
import type { SendOptions } from "./connection/command-queue.ts";
import { backoffMs } from "./primitives/backoff.ts";
import { fault, isReply, type Origin } from "./primitives/faults.ts";
import { slotOf } from "./primitives/hash-slots.ts";
import { conceal } from "./primitives/secrets.ts";
import { openCommandLink, type ClientConnection, type Connection, type ConnectSettings } from "./shared-connection.ts";

/** How a {@link RedisConnection} is opened and used. Times in milliseconds. */
export interface RedisConnectionOptions {
  readonly username?: string | undefined;
  /** A function is called at each attempt to connect. */
  readonly password?: string | (() => Awaitable<string>) | undefined;
  /** @default 'hotset' */
  readonly clientName?: string | undefined;
  /** RESP version. @default 3 */
  readonly protocol?: 2 | 3;
  /** @default 5_000 */
  readonly connectTimeoutMs?: number;
  /** Bound on each call that has none of its own. @default 5_000 */
  readonly responseTimeoutMs?: number;
  /** Commands without a reply; further ones wait, or are refused. @default 5_000 */
  readonly maxInFlight?: number;
  /** `reject`: a call that finds no room gets an `OverloadedError`. @default 'wait' */
  readonly onOverload?: "wait" | "reject";
  /** How often a read is sent again, within its deadline, when it was not answered. @default 5 */
  readonly readRetries?: number;
  /** Between attempts to connect, with full jitter, without end. @default { baseMs: 100, maxMs: 5_000 } */
  readonly backoff?: { readonly baseMs: number; readonly maxMs: number };
  /** @default systemClock */
  readonly clock?: Clock;
}

export interface CallOptions {
  /** Decides the node of a cluster. Without it the command goes to any primary. */
  readonly key?: string | Buffer | undefined;
  /** It changes nothing: it is sent again where the connection is lost. @default false */
  readonly isReadOnly?: boolean;
  /** @default responseTimeoutMs */
  readonly deadlineMs?: number | undefined;
  /** As node-redis has it, by type of RESP. @default text as Buffers */
  readonly typeMapping?: object;
}

/** Where a call goes: to the node of its key, or to one primary. */
export interface Caller {
  /**
   * Sends one command, and settles with the bare reply, or rejects with the bare error reply, an `Error` whose message
   * begins with its kind (`WRONGTYPE ...`). Settles within its deadline.
   *
   * @throws {BackendUnavailableError} where Redis was not reached, or did not answer in time; `maybeExecuted` says
   *   whether the command may have been carried out.
   * @throws {OverloadedError} where there is no room, if `onOverload` is `reject`.
   */
  call(args: readonly (string | Buffer)[], options?: CallOptions): Promise<unknown>;
}

/**
 * Commands of any kind over one multiplexed connection to each server, with the deadlines, the reconnection and the
 * redirections of hotset's backends. Opens nothing before the first call.
 */
export interface RedisConnection extends Caller {
  readonly protocol: 2 | 3;
  /** Whether keys lie on several servers: then the keys of one command must be of one slot. */
  readonly isCluster: boolean;
  /** Whether a command could be sent now. */
  readonly isUp: boolean;
  /** @throws {BackendUnavailableError} when this attempt fails. */
  connect(): Promise<void>;
  /** Lets commands in flight finish, within their deadlines, then closes. Idempotent. */
  close(): Promise<void>;
  /** Runs `task` with each primary. @throws what the first task that fails throws */
  each<T>(task: (primary: Caller) => Promise<T>): Promise<readonly T[]>;
}

/**
 * A connection of its own: it shares its sockets with no backend, and loads no scripts.
 *
 * @param connection of `single`, `cluster`, `sentinel` or `fromClient`.
 * @throws {InvalidArgumentError} for anything else.
 */
export function openConnection(
  connection: Connection | ClientConnection,
  options: RedisConnectionOptions = {},
): RedisConnection {
  const { clock = systemClock, protocol = 3, backoff = { baseMs: 100, maxMs: 5_000 } } = options;
  const settings: ConnectSettings = {
    username: options.username,
    password: options.password,
    clientName: options.clientName,
    defaultName: "hotset",
    protocol,
    connectTimeoutMs: options.connectTimeoutMs ?? 5_000,
    responseTimeoutMs: options.responseTimeoutMs ?? 5_000,
    retries: Infinity,
    backoff: { ...backoff, factor: 2 },
    maxInFlight: options.maxInFlight ?? 5_000,
    connects: [],
    clock,
    random: Math.random,
  };
  const link = openCommandLink(connection, settings);
  return new LinkedConnection(link, settings, options.onOverload ?? "wait", options.readRetries ?? 5);
}

/** The slot of a key in a cluster, from 0 to 16,383. */
export const hashSlot = (key: string | Buffer): number => slotOf(key);

class LinkedConnection implements RedisConnection {
  readonly protocol: 2 | 3;
  readonly isCluster: boolean;
  readonly #link: Link;
  readonly #settings: ConnectSettings;
  readonly #onOverload: "wait" | "reject";
  readonly #readRetries: number;
  readonly #origins = new Map<string, Origin>();
  #isClosed = false;

  constructor(link: Link, settings: ConnectSettings, onOverload: "wait" | "reject", readRetries: number) {
    this.#link = link;
    this.#settings = settings;
    this.#onOverload = onOverload;
    this.#readRetries = readRetries;
    this.protocol = settings.protocol;
    this.isCluster = link.primaries !== undefined;
  }

  get isUp(): boolean {
    return this.#link.queue.client !== undefined;
  }

  connect(): Promise<void> {
    return this.#link.connect();
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return this.#link.close();
  }

  call(args: readonly (string | Buffer)[], options: CallOptions = {}): Promise<unknown> {
    return this.#callOver(this.#link, args, options);
  }

  async each<T>(task: (primary: Caller) => Promise<T>): Promise<readonly T[]> {
    const { primaries } = this.#link;
    if (primaries === undefined) return [await task(this)];
    // Found at the first connection.
    if (primaries().length === 0) await this.connect();
    return Promise.all(
      primaries().map((link) => task({ call: (args, options = {}) => this.#callOver(link, args, options) })),
    );
  }

  async #callOver(link: Link, args: readonly (string | Buffer)[], options: CallOptions): Promise<unknown> {
    const { clock, responseTimeoutMs } = this.#settings;
    const origin = this.#originOf(args[0]);
    const { deadlineMs = responseTimeoutMs } = options;
    if (options.isReadOnly !== true || this.#readRetries === 0)
      return this.#send(link, origin, args, options, deadlineMs);
    const dueAt = clock.now() + deadlineMs;
    for (let retries = 0; ; retries += 1) {
      try {
        return await this.#send(link, origin, args, options, Math.max(1, dueAt - clock.now()));
      } catch (error) {
        const isLost = error instanceof BackendUnavailableError && error.retryable && !this.#isClosed;
        const waitMs = backoffMs(RETRY, retries, Math.random());
        if (!isLost || retries >= this.#readRetries || clock.now() + waitMs >= dueAt) throw error;
        await new Promise<void>((resolve) => clock.schedule(resolve, waitMs));
      }
    }
  }

  async #send(
    link: Link,
    origin: Origin,
    args: readonly (string | Buffer)[],
    options: CallOptions,
    deadlineMs: number,
  ): Promise<unknown> {
    if (this.#isClosed) throw closed(origin);
    const { queue } = link;
    if (this.#onOverload === "reject" && queue.client !== undefined && !queue.hasRoom)
      throw new OverloadedError(
        `${origin.tier}: ${origin.operation} was refused: ${queue.maxInFlight} commands are in flight; see maxInFlight`,
        origin,
      );
    const how: SendOptions = { typeMapping: options.typeMapping ?? BUFFERS, key: options.key, deadlineMs };
    try {
      return await send(link, origin, args as (string | Buffer)[], how);
    } catch (error) {
      conceal(error);
      throw isReply(error) ? error : fault(origin, error);
    }
  }

  /** One object for each command: errors of refused calls are shared by it. */
  #originOf(name: string | Buffer | undefined): Origin {
    if (name === undefined || name.length === 0)
      throw new InvalidArgumentError("call(args): args must begin with the name of a command");
    const operation = String(name).toUpperCase();
    let origin = this.#origins.get(operation);
    if (origin === undefined) {
      origin = Object.freeze({ tier: "redis", operation });
      if (this.#origins.size < MAX_ORIGINS) this.#origins.set(operation, origin);
    }
    return origin;
  }
}

/** `RESP_TYPES.BLOB_STRING` of node-redis: the type's first byte on the wire, `$`. */
const BUFFERS = { 36: Buffer };

/** Between two attempts of one read. */
const RETRY = { baseMs: 10, factor: 2, maxMs: 500 };

const MAX_ORIGINS = 1_000;
