import type { Clock } from "@hotset/core";
import { checkGiven, FUNCTION, inNoCall, keepAlive, oneOf, readOption, SIGNAL } from "@hotset/core/internal";
import { type ConnectSettings, type Hold, closed, CONNECT, needsTcp } from "@hotset/redis/internal";
import { checkKey, checkCallOptions, checkOpeningTimeout } from "./call-checks.ts";
import { Calls, type CallSettings } from "./calls.ts";
import type {
  Args,
  BurstOptions,
  CallOptions,
  ConnectionCounts,
  DedicatedConnection,
  OpenOptions,
  Pool,
  PrimaryConnection,
  RedisConnection,
  Subscriber,
} from "./contract.ts";
import { SessionConnection } from "./dedicated.ts";
import { deliver } from "./deliver.ts";
import { openInTime } from "./opening.ts";
import { ConnectionPool, type PoolBounds } from "./pool.ts";
import { LinkSubscriber } from "./subscriber.ts";

export interface ConnectionSettings extends ConnectSettings {
  readonly onOverload: "wait" | "reject";
  readonly readRetries: number;
  readonly patienceMs: number;
  readonly heartbeatMs: number;
  readonly pool: PoolBounds;
  readonly clock: Clock;
}

const EVENT = oneOf("up", "down");
const ROLE = oneOf("blocking", "exclusive", "subscriber");

/** A shared link, and the sockets that were opened next to it. */
export class LinkConnection implements RedisConnection {
  readonly pool: Pool;
  readonly #hold: Hold;
  readonly #settings: ConnectionSettings;
  readonly #callSettings: CallSettings;
  readonly #calls: Calls;
  readonly #pool: ConnectionPool;
  readonly #opened = new Set<{ close(): Promise<void> }>();
  readonly #listeners = { up: new Set<() => void>(), down: new Set<() => void>() };
  readonly #closing = new AbortController();
  readonly #stopWatching: () => void;
  #wasUp: boolean;
  /** How often the shared link came up. */
  #ups: number;
  #retries = 0;
  #closed: Promise<void> | undefined;

  constructor(hold: Hold, settings: ConnectionSettings) {
    this.#hold = hold;
    this.#settings = settings;
    this.#callSettings = {
      ...settings,
      onMoved: () => hold.servers.refresh(),
      onRetry: () => void (this.#retries += 1),
      line: {
        get isUp() {
          return hold.link.state === "up";
        },
        onUp: (listener) =>
          hold.link.onChange(() => {
            if (hold.link.state === "up") listener();
          }),
      },
    };
    this.#calls = new Calls(hold.link, this.#callSettings);
    this.#pool = new ConnectionPool(hold.servers, (options) => this.#openSession(options), {
      ...settings.pool,
      clock: settings.clock,
    });
    this.pool = this.#pool;
    this.#wasUp = hold.link.state === "up";
    this.#ups = this.#wasUp ? 1 : 0;
    this.#stopWatching = hold.link.onChange(() => this.#onChange());
  }

  get protocol(): 2 | 3 {
    return this.#hold.link.protocol ?? this.#settings.protocol;
  }

  get hasExactNumbers(): boolean {
    return this.#hold.link.isIoRedis !== true && !this.isHttp;
  }

  get isHttp(): boolean {
    return this.#hold.link.isHttp === true;
  }

  get isCluster(): boolean {
    return this.#hold.servers.isCluster;
  }

  get isUp(): boolean {
    return this.state === "up";
  }

  get state(): RedisConnection["state"] {
    return this.#closed === undefined ? this.#hold.link.state : "closed";
  }

  get inFlight(): number {
    return this.#hold.link.queue.inFlight;
  }

  get counts(): ConnectionCounts {
    const { received, sent } = this.#hold.traffic;
    return {
      bytesReceived: received,
      bytesSent: sent,
      retries: this.#retries,
      reconnects: Math.max(0, this.#ups - 1),
    };
  }

  async connect(): Promise<void> {
    if (this.#closed !== undefined) throw closed(CONNECT);
    await keepAlive(this.#settings.clock, this.#hold.link.connect());
  }

  close(): Promise<void> {
    return (this.#closed ??= keepAlive(this.#settings.clock, this.#close()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  on(event: "up" | "down", listener: () => void): () => void {
    const listeners = this.#listeners[readOption(event, "on(event): event", EVENT)];
    readOption(listener, "on(event, listener): listener", FUNCTION);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  call(args: Args, options?: CallOptions): Promise<unknown> {
    return this.#closed === undefined ? this.#calls.call(args, options) : Promise.reject(closed(CONNECT));
  }

  async burst(
    key: string | Buffer | undefined,
    commands: readonly Args[],
    options?: BurstOptions,
  ): Promise<readonly unknown[]> {
    if (this.#closed !== undefined) throw closed(CONNECT);
    return await this.#calls.burst(key, commands, options);
  }

  async each<T>(task: (primary: PrimaryConnection) => Promise<T>): Promise<readonly T[]> {
    readOption(task, "each(task): task", FUNCTION);
    if (this.#closed !== undefined) throw closed(CONNECT);
    const primaries = await keepAlive(this.#settings.clock, this.#hold.servers.primaries());
    return await Promise.all(
      primaries.map(({ address, link }) => {
        const calls = new Calls(link, this.#callSettings);
        return task({
          address,
          call: (args, options) => calls.call(args, options),
          burst: (commands, options) => calls.burst(undefined, commands, options),
        });
      }),
    );
  }

  open(options: OpenOptions & { readonly role: "blocking" | "exclusive" }): Promise<DedicatedConnection>;
  open(options: OpenOptions & { readonly role: "subscriber" }): Promise<Subscriber>;
  async open(
    options: OpenOptions & { readonly role: "blocking" | "exclusive" | "subscriber" },
  ): Promise<DedicatedConnection | Subscriber> {
    checkCallOptions("open", options ?? null, ["role", "key", "deadlineMs", "signal"]);
    readOption(options.role, "open({ role }): role", ROLE);
    checkKey("open({ key }): key", options.key);
    checkOpeningTimeout("open({ deadlineMs }): deadlineMs", options.deadlineMs);
    checkGiven(options.signal, "open({ signal }): signal", SIGNAL);
    if (this.#closed !== undefined) throw closed(CONNECT);
    return await (options.role === "subscriber" ? this.#openSubscriber(options) : this.#openSession(options));
  }

  async #openSession(options: OpenOptions): Promise<SessionConnection> {
    if (this.isHttp) throw needsTcp("redis: a command that waits, or changes a connection,");
    const { servers } = this.#hold;
    return openInTime(
      options,
      { ...this.#settings, closing: this.#closing.signal },
      async (aborted) => {
        // Other callers of the pool use it later, and behind sentinels it begins to listen for all.
        const session = await inNoCall(() => servers.openSession({ key: options.key, aborted, prepare: nothing }));
        const connection = new SessionConnection(session, servers, this.#settings, (ended) =>
          this.#opened.delete(ended),
        );
        // Before its caller has it, so that `close` in between closes it.
        if (connection.isOpen) this.#opened.add(connection);
        return connection;
      },
      (late) => void late.close(),
    );
  }

  async #openSubscriber(options: OpenOptions): Promise<Subscriber> {
    if (this.isHttp) throw needsTcp("redis: a subscription");
    const subscriber = new LinkSubscriber(this.#hold.servers, options, this.#settings, (ended) =>
      this.#opened.delete(ended),
    );
    this.#opened.add(subscriber);
    try {
      await openInTime(
        options,
        { ...this.#settings, closing: this.#closing.signal },
        () => subscriber.connect(),
        () => undefined,
      );
      return subscriber;
    } catch (error) {
      await subscriber.close();
      throw error;
    }
  }

  #onChange(): void {
    const isUp = this.#hold.link.state === "up";
    if (isUp === this.#wasUp) return;
    this.#wasUp = isUp;
    if (isUp) this.#ups += 1;
    for (const listener of this.#listeners[isUp ? "up" : "down"]) deliver(listener);
  }

  async #close(): Promise<void> {
    this.#closing.abort();
    this.#stopWatching();
    this.#pool.close();
    await Promise.all([...this.#opened].map((each) => each.close()));
    await this.#hold.release();
  }
}

const nothing = (): Promise<void> => Promise.resolve();
