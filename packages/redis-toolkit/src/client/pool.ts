import { OverloadedError, type Clock } from "@hotset/core";
import { checkGiven, FUNCTION, keepAlive, readOption, SIGNAL } from "@hotset/core/internal";
import { closed, CONNECT, type Servers, type Origin, ignore } from "@hotset/redis/internal";
import { checkKey, checkCallOptions, checkTimeout } from "./call-checks.ts";
import { ConnectionState } from "./connection-state.ts";
import type {
  Args,
  BurstOptions,
  DedicatedCallOptions,
  ExclusiveConnection,
  OpenOptions,
  Pool,
  PoolOptions,
  PoolStatus,
  UseOptions,
} from "./contract.ts";
import type { SessionConnection } from "./dedicated.ts";

/** {@link PoolOptions} with every option set. */
export type PoolBounds = { readonly [Option in keyof PoolOptions]-?: NonNullable<PoolOptions[Option]> };

/** Callers beyond this are refused immediately. */
const MAX_WAITING = 10_000;

interface Idle {
  readonly connection: SessionConnection;
  readonly cancel: () => void;
}

export class ConnectionPool implements Pool {
  readonly #servers: Servers;
  readonly #open: (options: OpenOptions) => Promise<SessionConnection>;
  readonly #settings: PoolBounds & { readonly clock: Clock };
  /** The one used last is the last. */
  readonly #idle: Idle[] = [];
  readonly #waiting = new Set<{ admit(): void; refuse(error: unknown): void }>();
  #inUse = 0;
  #isClosed = false;

  constructor(
    servers: Servers,
    open: (options: OpenOptions) => Promise<SessionConnection>,
    settings: PoolBounds & { readonly clock: Clock },
  ) {
    this.#servers = servers;
    this.#open = open;
    this.#settings = settings;
  }

  get status(): PoolStatus {
    const idle = this.#idle.length;
    return { size: idle + this.#inUse, idle, inUse: this.#inUse, waiting: this.#waiting.size };
  }

  async use<T>(task: (connection: ExclusiveConnection) => Promise<T>, options: UseOptions = {}): Promise<T> {
    readOption(task, "pool.use(task): task", FUNCTION);
    checkCallOptions("pool.use(task, options)", options, ["key", "waitMs", "signal"]);
    checkKey("key", options.key);
    checkTimeout("waitMs", options.waitMs);
    checkGiven(options.signal, "signal", SIGNAL);
    await this.#admission(options);
    let connection: SessionConnection | undefined;
    const state = new ConnectionState();
    try {
      connection = await this.#connectionFor(options);
      const lent = new LentConnection(connection, state);
      try {
        return await task(lent);
      } finally {
        lent.end();
      }
    } finally {
      this.#giveBack(connection, state);
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const each of [...this.#waiting]) each.refuse(closed(CONNECT));
    for (const each of [...this.#idle]) this.#drop(each);
  }

  /** Counts the caller as `inUse`, immediately or when its turn comes. */
  #admission({ signal, waitMs = this.#settings.waitMs }: UseOptions): Promise<void> {
    signal?.throwIfAborted();
    if (this.#isClosed) throw closed(CONNECT);
    const { max, clock } = this.#settings;
    if (this.#inUse < max) {
      this.#inUse += 1;
      return Promise.resolve();
    }
    if (this.#waiting.size >= MAX_WAITING) throw exhausted(max, `${MAX_WAITING} callers wait`);
    const admitted = new Promise<void>((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.delete(waiter);
        cancel();
        signal?.removeEventListener("abort", abort);
      };
      const waiter = {
        admit: () => {
          leave();
          resolve();
        },
        refuse: (error: unknown) => {
          leave();
          reject(error);
        },
      };
      const abort = (): void => waiter.refuse(signal!.reason);
      const cancel = clock.schedule(
        () => waiter.refuse(exhausted(max, `none became free within ${waitMs} ms`)),
        waitMs,
      );
      signal?.addEventListener("abort", abort);
      this.#waiting.add(waiter);
    });
    return keepAlive(clock, admitted);
  }

  async #connectionFor({ key, signal }: UseOptions): Promise<SessionConnection> {
    const node = this.#servers.nodeOf(key);
    const idle = this.#idle.findLast(({ connection }) => node === undefined || connection.address === node);
    if (idle !== undefined) return this.#take(idle);
    // The socket that will be opened counts already.
    while (this.#inUse + this.#idle.length > this.#settings.max) this.#drop(this.#idle[0]!);
    return this.#open({
      ...(key === undefined ? undefined : { key }),
      ...(signal === undefined ? undefined : { signal }),
    });
  }

  #giveBack(connection: SessionConnection | undefined, state: ConnectionState): void {
    if (connection?.isOpen !== true) return this.#next();
    const reset = connection.isBusy ? "impossible" : state.reset;
    if (reset === "none") return this.#keep(connection);
    if (reset === "impossible") {
      connection.close().catch(ignore);
      return this.#next();
    }
    connection.call([reset]).then(
      () => this.#keep(connection),
      async () => {
        await connection.close();
        this.#next();
      },
    );
  }

  #keep(connection: SessionConnection): void {
    if (this.#isClosed) {
      connection.close().catch(ignore);
      return this.#next();
    }
    const cancel = this.#settings.clock.schedule(() => this.#drop(idle), this.#settings.idleMs);
    const ended = connection.onLost(() => this.#take(idle));
    const idle: Idle = {
      connection,
      cancel: () => {
        cancel();
        ended();
      },
    };
    this.#idle.push(idle);
    this.#next();
  }

  /** A caller is done: the next one in line takes its place. */
  #next(): void {
    const [first] = this.#waiting;
    if (first === undefined) this.#inUse -= 1;
    else first.admit();
  }

  #take(idle: Idle): SessionConnection {
    const index = this.#idle.indexOf(idle);
    if (index >= 0) this.#idle.splice(index, 1);
    idle.cancel();
    return idle.connection;
  }

  #drop(idle: Idle): void {
    this.#take(idle).close().catch(ignore);
  }
}

/** Lent to one caller. */
class LentConnection implements ExclusiveConnection {
  readonly #connection: SessionConnection;
  readonly #state: ConnectionState;
  #isEnded = false;

  constructor(connection: SessionConnection, state: ConnectionState) {
    this.#connection = connection;
    this.#state = state;
  }

  get address(): string {
    return this.#connection.address;
  }

  async call(args: Args, options?: DedicatedCallOptions): Promise<unknown> {
    this.#note([args]);
    return await this.#connection.call(args, options);
  }

  async burst(commands: readonly Args[], options?: BurstOptions): Promise<readonly unknown[]> {
    this.#note(commands);
    return await this.#connection.burst(commands, options);
  }

  end(): void {
    this.#isEnded = true;
  }

  #note(commands: readonly Args[]): void {
    if (this.#isEnded) throw closed(POOL);
    for (const [name] of commands) this.#state.sent(String(name));
  }
}

const exhausted = (max: number, why: string): OverloadedError =>
  new OverloadedError(`redis: no connection of the pool: all ${max} are in use, and ${why}; see pool.max`, POOL);

const POOL: Origin = Object.freeze({ tier: "redis", operation: "pool" });
