import type { Awaitable, Clock } from "@hotset/core";

/** Name and arguments of one command. */
export type Args = readonly (string | Buffer)[];

/** Bounds of a pool. */
export interface PoolOptions {
  /** The most sockets, those in use included. @default 10 */
  readonly max?: number | undefined;
  /** How long a caller may wait for one. @default 5_000 */
  readonly waitMs?: number | undefined;
  /** How long a socket that is not used is kept. @default 30_000 */
  readonly idleMs?: number | undefined;
}

/** Options of `openConnection`. */
export interface RedisConnectionOptions {
  /** Overrides that of the URL. */
  readonly username?: string | undefined;
  /**
   * Overrides that of the URL. A function is called at each attempt to connect: for tokens that expire. `""` is for a
   * user with `nopass`.
   */
  readonly password?: string | (() => Awaitable<string>) | undefined;
  /** In `CLIENT LIST`, for each socket: 1 to 128 printable ASCII characters, no spaces. @default 'hotset' */
  readonly clientName?: string | undefined;
  /** Version of RESP. @default 3 */
  readonly protocol?: 2 | 3 | undefined;
  /** Bound on one attempt to connect. @default 5_000 */
  readonly connectTimeoutMs?: number | undefined;
  /** Deadline of calls that name none, waits for room included, but not for the socket of the first. @default 5_000 */
  readonly responseTimeoutMs?: number | undefined;
  /** Commands in flight on the shared socket of one server. @default 5_000 */
  readonly maxInFlight?: number | undefined;
  /**
   * Calls beyond `maxInFlight` wait within their deadline, up to 40 times as many, or are refused immediately with an
   * `OverloadedError`.
   *
   * @default 'wait'
   */
  readonly onOverload?: "wait" | "reject" | undefined;
  /** Failed attempts to connect in a row before giving up until the next call. @default Infinity */
  readonly retries?: number | undefined;
  /** The wait before attempt n is random in [0, min(maxMs, baseMs * factor ** n)]. @default 100, 2 and 5_000 */
  readonly backoff?:
    | {
        readonly baseMs?: number | undefined;
        readonly factor?: number | undefined;
        readonly maxMs?: number | undefined;
      }
    | undefined;
  /**
   * How often a read whose connection was lost is sent again, within its deadline, in which it waits for another one.
   * With `0` it does not wait. A read that begins after an attempt to connect has failed is refused as a write is.
   *
   * @default 5
   */
  readonly readRetries?: number | undefined;
  /**
   * How long a call on the shared link that was not carried out waits for a connection; then it is sent, and has its
   * deadline. A call with its own deadline waits within that. @default 0
   */
  readonly patienceMs?: number | undefined;
  /** How often a subscriber asks whether its server is there. @default 2_000 */
  readonly heartbeatMs?: number | undefined;
  /** Sockets that are lent to one caller at a time. */
  readonly pool?: PoolOptions | undefined;
  /** @default systemClock */
  readonly clock?: Clock | undefined;
}

/** Options of one command. */
export interface CallOptions {
  /** Decides the node in a cluster: a key of the command. Without one, any primary is asked first. */
  readonly key?: string | Buffer | undefined;
  /** Nothing is changed by it: it may be sent again, within its deadline, if the connection is lost. @default false */
  readonly isReadOnly?: boolean | undefined;
  /**
   * Carried out twice it changes as much as once: where its reply is lost it is sent again, within its patience.
   *
   * @default false
   */
  readonly isRepeatable?: boolean | undefined;
  /** Bound on the whole call. @default `responseTimeoutMs` */
  readonly deadlineMs?: number | undefined;
  /** How long it waits for a connection, within `deadlineMs` if that is given. @default that of the connection */
  readonly patienceMs?: number | undefined;
  /** How replies are decoded, as node-redis has it: by type of RESP. @default text as Buffers */
  readonly typeMapping?: object | undefined;
  /** The text of the script that `EVALSHA` names: sent where the server does not know it, within the same bounds. */
  readonly script?: string | undefined;
  /** The name of the call in errors, where a script carries it out. @default the name of the command */
  readonly operation?: string | undefined;
  /** Ends the call with its reason. A command that was sent may be executed all the same. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of commands that are sent together. */
export type BurstOptions = Pick<CallOptions, "deadlineMs" | "patienceMs" | "typeMapping" | "signal">;

/** Where a call goes: to the node of its key, or to one primary. */
export interface Caller {
  /**
   * Sends one command, and settles with the bare reply, or rejects with the bare error reply, an `Error` whose message
   * begins with its kind (`WRONGTYPE ...`). Settles within its deadline.
   *
   * @throws {BackendUnavailableError} where Redis was not reached, or did not answer in time; `maybeExecuted` says
   *   whether the command may have been carried out.
   * @throws {OverloadedError} where the bound is reached, if `onOverload` is `reject`.
   */
  call(args: Args, options?: CallOptions): Promise<unknown>;
}

/** One primary. In a cluster a command whose key lies elsewhere is refused with a `BackendUnavailableError`. */
export interface PrimaryConnection extends Caller {
  /** Host and port, or a path; for messages. */
  readonly address: string;
  /**
   * As {@link RedisConnection.burst}.
   *
   * @throws {BackendUnavailableError} if none was sent, or the deadline has passed.
   */
  burst(commands: readonly Args[], options?: BurstOptions): Promise<readonly unknown[]>;
}

/** Options of a command on a dedicated connection. */
export interface DedicatedCallOptions extends Omit<
  CallOptions,
  "key" | "isReadOnly" | "isRepeatable" | "deadlineMs" | "patienceMs"
> {
  /** How long the server may block. The deadline is this and `responseTimeoutMs`. */
  readonly blockMs?: number | undefined;
  /** In place of `blockMs`. */
  readonly deadlineMs?: number | undefined;
}

/**
 * A separate socket, never reconnected. A command that was sent and not answered, because its deadline has passed or
 * its signal was aborted, closes it: what the server does with it is unknown. Calls reject as {@link Caller.call} does.
 */
export interface DedicatedConnection extends AsyncDisposable {
  /** Host and port, or a path; for messages. */
  readonly address: string;
  /** `false` once it is lost or closed; commands are refused from then on. */
  readonly isOpen: boolean;
  /**
   * As {@link Caller.call}, without sending again.
   *
   * @throws {BackendUnavailableError} once it is closed.
   */
  call(args: Args, options?: DedicatedCallOptions): Promise<unknown>;
  /** As {@link PrimaryConnection.burst}, without sending again. */
  burst(commands: readonly Args[], options?: BurstOptions): Promise<readonly unknown[]>;
  /**
   * Hands each command that the server runs to `listener`, as the line of `MONITOR`, until the connection is closed. It
   * takes no calls from then on. The server does half of its work for this. Resolves once the server has confirmed it,
   * within `responseTimeoutMs`.
   *
   * @param listener an error that it throws is an uncaught exception.
   */
  monitor(listener: (line: string) => void): Promise<void>;
  /**
   * Calls `listener` once when the connection is lost; not when it is closed.
   *
   * @param listener an error that it throws is an uncaught exception.
   * @returns a function that ends this.
   */
  onLost(listener: (error: Error) => void): () => void;
  /** Closes it immediately; calls in flight reject. Idempotent. */
  close(): Promise<void>;
}

/** `shard`: of sharded pub/sub; `key` of `open` must be the channel. */
export type SubscriptionKind = "channel" | "pattern" | "shard";

/** Reports of a subscriber about its connection. An error that a call of them throws is an uncaught exception. */
export interface SubscriberEvents {
  /** The connection was lost: messages are not received. */
  lost(error: Error): void;
  /** The connection is back, and everything is subscribed again. Messages published in between were missed. */
  gap(): void;
}

/** A socket for subscriptions. It reconnects, and subscribes again. */
export interface Subscriber extends AsyncDisposable {
  /**
   * Resolves once the server has confirmed it; immediately for a name that is subscribed already.
   *
   * @param listener receives bytes. An error that it throws is an uncaught exception.
   * @returns a function that ends it, and resolves once the server has confirmed that or the connection is lost.
   */
  subscribe(
    kind: SubscriptionKind,
    name: string,
    listener: (message: Buffer, channel: Buffer) => void,
  ): Promise<() => Promise<void>>;
  /**
   * @param listener an error that it throws is an uncaught exception.
   * @returns a function that removes the listener.
   */
  on<Event extends keyof SubscriberEvents>(event: Event, listener: SubscriberEvents[Event]): () => void;
  /** Closes it immediately. Idempotent. */
  close(): Promise<void>;
}

/** Options of a dedicated connection. */
export interface OpenOptions {
  /** Decides the node in a cluster. @default any primary */
  readonly key?: string | Buffer | undefined;
  /** Bound on opening it. @default `connectTimeoutMs` */
  readonly deadlineMs?: number | undefined;
  /** Ends the attempt with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** How many connections of a pool are in use, and how many callers wait. */
export interface PoolStatus {
  /** All sockets: `idle` and `inUse`. */
  readonly size: number;
  /** Sockets that wait for a caller. */
  readonly idle: number;
  /** Sockets that are being opened or reset included. */
  readonly inUse: number;
  /** Callers in line. */
  readonly waiting: number;
}

/**
 * Passed to the function of `use`. It refuses commands once its function has ended. Calls reject as {@link Caller.call}
 * does.
 */
export interface ExclusiveConnection extends PrimaryConnection {
  /** As {@link DedicatedConnection.call}. */
  call(args: Args, options?: DedicatedCallOptions): Promise<unknown>;
  /** As {@link DedicatedConnection.burst}. */
  burst(commands: readonly Args[], options?: BurstOptions): Promise<readonly unknown[]>;
}

/** Options of borrowing a connection from a pool. */
export interface UseOptions extends Pick<OpenOptions, "key" | "signal"> {
  /** @default that of the pool */
  readonly waitMs?: number | undefined;
}

/** Connections that are lent, each to one caller at a time. */
export interface Pool {
  /** As it is now. */
  readonly status: PoolStatus;
  /**
   * Runs `task` with a socket that nothing else uses meanwhile. Callers get one in the order in which they came. After
   * it a transaction that is open is discarded, and watched keys are unwatched; a socket in any other state than a new
   * one is closed.
   *
   * @throws {OverloadedError} when none became free in time.
   * @throws {BackendUnavailableError} when none could be opened. An error of `task` is passed on.
   */
  use<T>(task: (connection: ExclusiveConnection) => Promise<T>, options?: UseOptions): Promise<T>;
}

/** Counts since the connection was opened. */
export interface ConnectionCounts {
  /** On the wire, of all sockets; 0 over a client of the user. */
  readonly bytesReceived: number;
  /** On the wire, of all sockets; 0 over a client of the user. */
  readonly bytesSent: number;
  /** Reads that were sent again. */
  readonly retries: number;
  /** How often the shared link was lost and came back. */
  readonly reconnects: number;
}

/** Commands to Redis, over sockets that are opened here and nowhere else. The same for every topology. */
export interface RedisConnection extends Caller, AsyncDisposable {
  /** Version of RESP, as it was asked for. */
  readonly protocol: 2 | 3;
  /**
   * Whether a type mapping can ask for whole numbers as text, exact beyond 2^53. Not over a client of ioredis, nor over
   * HTTP.
   */
  readonly hasExactNumbers: boolean;
  /** Whether commands are requests over HTTP: then there is no connection to wait, subscribe or watch on. */
  readonly isHttp: boolean;
  /** Whether keys lie on several servers: then the keys of one command must be of one slot. */
  readonly isCluster: boolean;
  /** Whether `state` is `up`: a command could be sent now. */
  readonly isUp: boolean;
  /** The state of the shared link. In a cluster `up` means that some primary can be reached. */
  readonly state: "idle" | "connecting" | "up" | "down" | "closed";
  /** Commands on the shared link without a reply. */
  readonly inFlight: number;
  /** As they are now. */
  readonly counts: ConnectionCounts;
  /** Exclusive sockets for WATCH and the like. */
  readonly pool: Pool;
  /** Connects now, rather than with the first call. @throws {BackendUnavailableError} when this attempt fails. */
  connect(): Promise<void>;
  /** Closes every socket opened here. Commands in flight on the shared link may finish first. Idempotent. */
  close(): Promise<void>;
  /**
   * @param listener an error that it throws is an uncaught exception.
   * @returns a function that removes the listener.
   */
  on(event: "up" | "down", listener: () => void): () => void;
  /**
   * Over the shared link: no command that blocks, subscribes, or changes the connection.
   *
   * @throws as {@link Caller.call}
   */
  call(args: Args, options?: CallOptions): Promise<unknown>;
  /**
   * Sends commands one right after another to the node of `key`, with nothing in between. In a cluster it is redirected
   * as a whole, if nothing of it was executed.
   *
   * @param key `undefined`: any primary.
   * @returns a reply or an error for each. @throws what {@link call} does if none was sent, or the deadline has passed.
   */
  burst(
    key: string | Buffer | undefined,
    commands: readonly Args[],
    options?: BurstOptions,
  ): Promise<readonly unknown[]>;
  /** Runs `task` for all primaries in parallel. @throws the first error of a task. */
  each<T>(task: (primary: PrimaryConnection) => Promise<T>): Promise<readonly T[]>;
  /**
   * Opens a separate socket. No script of the cache is loaded there.
   *
   * @throws {BackendUnavailableError}
   * @throws {ConfigurationError} over HTTP, which has none.
   */
  open(options: OpenOptions & { readonly role: "blocking" | "exclusive" }): Promise<DedicatedConnection>;
  open(options: OpenOptions & { readonly role: "subscriber" }): Promise<Subscriber>;
}
