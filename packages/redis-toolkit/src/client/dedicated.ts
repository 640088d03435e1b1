import { BackendUnavailableError, type Clock } from "@hotset/core";
import { FUNCTION, keepAlive, readOption } from "@hotset/core/internal";
import {
  CommandQueue,
  type Command,
  type RawClient,
  closed,
  CONNECT,
  type Servers,
  rejectInFlight,
  type NodeClient,
  type Session,
  lost,
  unreachable,
  type Origin,
} from "@hotset/redis/internal";
import { checkCallOptions, checkTimeout } from "./call-checks.ts";
import { CALL_OPTIONS, Calls } from "./calls.ts";
import type { Args, BurstOptions, DedicatedCallOptions, DedicatedConnection } from "./contract.ts";
import { deliver } from "./deliver.ts";

export interface DedicatedSettings {
  readonly clock: Clock;
  readonly random: () => number;
  readonly responseTimeoutMs: number;
  readonly maxInFlight: number;
}

const MONITOR: Origin = Object.freeze({ tier: "redis", operation: "MONITOR" });

/** One session, used by one caller. */
export class SessionConnection implements DedicatedConnection {
  readonly address: string;
  readonly #session: Session;
  readonly #settings: DedicatedSettings;
  readonly #queue: CommandQueue;
  readonly #calls: Calls;
  readonly #listeners = new Set<(error: Error) => void>();
  readonly #onEnd: (connection: SessionConnection) => void;
  #ended: BackendUnavailableError | undefined;

  /** @param onEnd called once, when it is lost or closed. */
  constructor(
    session: Session,
    servers: Servers,
    settings: DedicatedSettings,
    onEnd: (connection: SessionConnection) => void,
  ) {
    this.address = session.address;
    this.#session = session;
    this.#settings = settings;
    this.#onEnd = onEnd;
    this.#queue = new CommandQueue({
      clock: settings.clock,
      deadlineMs: settings.responseTimeoutMs,
      maxInFlight: settings.maxInFlight,
    });
    this.#queue.client = session.client;
    this.#queue.server = () => session.address;
    this.#calls = new Calls(
      { queue: this.#queue, admit: (command, send) => this.#admit(command, send) },
      {
        ...{ onOverload: "wait", readRetries: 0, random: settings.random },
        onMoved: () => servers.refresh(),
        onRetry: () => undefined,
        onAbandoned: (reason) => this.#lose(reason instanceof Error ? reason : new Error("its signal was aborted")),
      },
    );
    session.onLost((error) => this.#lose(error));
  }

  get isOpen(): boolean {
    return this.#ended === undefined;
  }

  /** Whether a command is without a reply. */
  get isBusy(): boolean {
    return this.#queue.inFlight > 0;
  }

  async call(args: Args, given: DedicatedCallOptions = {}): Promise<unknown> {
    checkCallOptions("call(args, options)", given, ["blockMs", ...CALL_OPTIONS]);
    const { blockMs, ...options } = given;
    const { responseTimeoutMs } = this.#settings;
    checkTimeout("blockMs", blockMs);
    const bound = {
      ...options,
      // It is never replaced, so there is no connection to wait for.
      patienceMs: 0,
      ...(blockMs !== undefined && { deadlineMs: options.deadlineMs ?? blockMs + responseTimeoutMs }),
    };
    return await this.#closedIfOverdue(this.#calls.call(args, bound));
  }

  burst(commands: readonly Args[], options: BurstOptions = {}): Promise<readonly unknown[]> {
    return this.#closedIfOverdue(this.#calls.burst(undefined, commands, { ...options, patienceMs: 0 }));
  }

  async monitor(listener: (line: string) => void): Promise<void> {
    readOption(listener, "monitor(listener): listener", FUNCTION);
    if (this.#ended !== undefined) throw unreachable(MONITOR, this.#ended);
    // A session of one server has a client of node-redis.
    const client = this.#session.client as NodeClient;
    const command = this.#queue.begin<unknown>(MONITOR);
    const sendCommand = (): Promise<void> =>
      client.MONITOR((line) => {
        if (this.#ended === undefined) deliver(listener, line.toString());
      });
    command.exchange({ sendCommand }, []);
    await this.#closedIfOverdue(keepAlive(this.#settings.clock, command.promise));
  }

  onLost(listener: (error: Error) => void): () => void {
    readOption(listener, "onLost(listener): listener", FUNCTION);
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): Promise<void> {
    if (this.#ended !== undefined) return Promise.resolve();
    rejectInFlight(this.#session.client, lost(this.address, new Error("it was closed by close()")));
    this.#end(closed(CONNECT));
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Closes the connection when the deadline of a call that was sent has passed. */
  async #closedIfOverdue<T>(reply: Promise<T>): Promise<T> {
    try {
      return await reply;
    } catch (error) {
      const isOverdue = error instanceof BackendUnavailableError && error.maybeExecuted;
      if (this.isBusy && isOverdue) this.#lose(error);
      throw error;
    }
  }

  #admit<T>(command: Command<T>, send: (client: RawClient) => void): void {
    if (this.#ended === undefined) this.#queue.enqueue(command, send);
    else command.fail(unreachable(command.origin, this.#ended));
  }

  #lose(error: Error): void {
    if (this.#ended !== undefined) return;
    const cause = lost(this.address, error);
    rejectInFlight(this.#session.client, cause);
    this.#end(cause);
    for (const listener of this.#listeners) deliver(listener, cause);
  }

  #end(cause: BackendUnavailableError): void {
    this.#ended = cause;
    this.#queue.client = undefined;
    this.#session.destroy();
    this.#queue.failWaiting((origin) => unreachable(origin, cause));
    this.#onEnd(this);
  }
}
