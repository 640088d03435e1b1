import { BackendUnavailableError, CacheError, InvalidArgumentError, OverloadedError } from "@hotset/core";
import { checkGiven, flag, holdProcess, keepAlive, kindOf, refuse, SIGNAL, text } from "@hotset/core/internal";
import {
  type Command,
  type RawClient,
  type SendOptions,
  type Link,
  backoffMs,
  fault,
  isRedirection,
  isReply,
  isTemporary,
  type Origin,
  conceal,
} from "@hotset/redis/internal";
import { checkKey, checkCallOptions, checkTimeout } from "./call-checks.ts";
import type { Args, BurstOptions, CallOptions } from "./contract.ts";

export interface CallSettings {
  readonly onOverload: "wait" | "reject";
  readonly readRetries: number;
  /** In [0, 1). */
  readonly random: () => number;
  /** Called when a node answers that it does not serve a key. */
  readonly onMoved: () => void;
  /** Called when a read is sent again. */
  readonly onRetry: () => void;
  /** Called when a call was sent, and its signal is aborted before the reply. */
  readonly onAbandoned?: (reason: unknown) => void;
  /** How long a call that was not carried out waits for a connection, to be sent then. @default not at all */
  readonly patienceMs?: number;
  /** Wakes calls that wait so; without it they only try again every now and then. */
  readonly line?: Line;
}

/** The connection that patient calls wait for. */
export interface Line {
  readonly isUp: boolean;
  /** @returns a function that removes the listener */
  onUp(listener: () => void): () => void;
}

/** Between two attempts of one read. */
const REPEAT = { baseMs: 10, factor: 2, maxMs: 500 };

interface FirstAttempt {
  readonly origin: Origin;
  readonly beganAt: number;
  /** How it failed. */
  readonly thrown: unknown;
}

interface Attempt {
  /** The rest of the deadline of the call, where it has its own. */
  readonly leftMs: number | undefined;
  readonly isAgain: boolean;
}

/** The part of a call's options that decides how long it waits for a connection. */
type Patience = Pick<CallOptions, "deadlineMs" | "patienceMs" | "isReadOnly" | "isRepeatable" | "signal">;

/** How many names of commands are known by name in errors; bounds what is kept for them. */
const MAX_OPERATIONS = 500;

/**
 * Calls over one link: each is checked, bounded by its deadline, and fails with a typed error. Until it has settled it
 * keeps the process alive: there may be no socket that does.
 */
export class Calls {
  readonly #link: Pick<Link, "queue" | "admit">;
  readonly #settings: CallSettings;
  readonly #overloads = new Map<Origin, OverloadedError>();
  readonly #origins = new Map<string, Origin>();

  constructor(link: Pick<Link, "queue" | "admit">, settings: CallSettings) {
    this.#link = link;
    this.#settings = settings;
  }

  async call(args: Args, options: CallOptions = NONE): Promise<unknown> {
    // Not `keepAlive`, which adds two promises to each call.
    const letGo = holdProcess(this.#link.queue.clock);
    try {
      check(args);
      if (!(options instanceof CheckedOptions)) checkCall("call(args, options)", options, CALL_OPTIONS);
      const origin = this.#originOf(options.operation ?? nameOf(args));
      const { queue } = this.#link;
      const beganAt = queue.clock.now();
      try {
        return await this.#exchange(origin, args, options, { leftMs: options.deadlineMs, isAgain: false });
      } catch (thrown) {
        return await this.#again(args, options, { origin, beganAt, thrown });
      }
    } finally {
      letGo?.();
    }
  }

  burst(
    key: string | Buffer | undefined,
    commands: readonly Args[],
    options: BurstOptions = NONE,
  ): Promise<readonly unknown[]> {
    return keepAlive(this.#link.queue.clock, this.#burst(key, commands, options));
  }

  /** After a first attempt that failed: it is sent again where that is safe, and its bounds allow it. */
  async #again(args: Args, options: CallOptions, { origin, beganAt, ...first }: FirstAttempt): Promise<unknown> {
    const { queue } = this.#link;
    const { readRetries, random } = this.#settings;
    let endAt = beganAt + (options.deadlineMs ?? queue.deadlineMs);
    let leftMs = options.deadlineMs;
    // An attempt that may have been carried out: what a later one was refused for does not take that back.
    let lost: Error | undefined;
    let { thrown } = first;
    for (let attempts = 0, repeats = 0; ; attempts += 1) {
      const error = this.#fault(origin, thrown, options.signal);
      if (options.signal?.aborted === true && error === options.signal.reason) throw error;
      if (options.isRepeatable === true && isAway(error) && error.maybeExecuted) lost = error;
      if (await this.#isPatient(error, options, { beganAt, attempts })) {
        if (options.deadlineMs === undefined) endAt = queue.clock.now() + queue.deadlineMs;
        leftMs = options.deadlineMs === undefined ? undefined : Math.max(endAt - queue.clock.now(), 1);
      } else {
        if (options.isReadOnly !== true || !isAway(error) || isRedirection(thrown)) throw lost ?? error;
        // A command that was not sent is not repeated.
        if (error.maybeExecuted) repeats += 1;
        // Redis is known to be down: a read that was not sent is refused as a write is. One that was lost waits.
        if (repeats === 0 && couldNotConnect(error)) throw lost ?? error;
        const waitMs = backoffMs(REPEAT, attempts, random());
        const isOver = readRetries === 0 || repeats > readRetries || queue.clock.now() + waitMs >= endAt;
        if (isOver) throw lost ?? error;
        await this.#pause(waitMs, options.signal);
        leftMs = Math.max(endAt - queue.clock.now(), 1);
      }
      try {
        return await this.#exchange(origin, args, options, { leftMs, isAgain: true });
      } catch (next) {
        thrown = next;
      }
    }
  }

  async #burst(
    key: string | Buffer | undefined,
    commands: readonly Args[],
    options: BurstOptions,
  ): Promise<readonly unknown[]> {
    if (!isList(commands)) refuse("burst(commands): commands", commands, "a list of commands");
    // By its index, which finds holes too.
    for (let i = 0; i < commands.length; i += 1) check(commands[i]!);
    checkCall("burst(commands, options)", options, BURST_OPTIONS);
    checkKey("burst(key): key", key);
    const [first] = commands;
    if (first === undefined) return [];
    const origin = this.#originOf(nameOf(first));
    const { clock } = this.#link.queue;
    const beganAt = clock.now();
    let { deadlineMs } = options;
    for (let attempts = 0; ; attempts += 1) {
      const send = sendOptions(key === undefined ? options : { ...options, key }, deadlineMs);
      try {
        const results = await this.#start<readonly unknown[]>(
          origin,
          { signal: options.signal, deadlineMs },
          (command, client) => command.exchangeAll(client, commands, send),
        );
        return results.map((result, index) =>
          result instanceof Error ? this.#fault(this.#originOf(nameOf(commands[index]!)), result) : result,
        );
      } catch (thrown) {
        const error = this.#fault(origin, thrown, options.signal);
        if (!(await this.#isPatient(error, options, { beganAt, attempts }))) throw error;
        if (options.deadlineMs !== undefined) deadlineMs = Math.max(beganAt + options.deadlineMs - clock.now(), 1);
      }
    }
  }

  /**
   * Whether the call is to be sent again: it was not carried out, or may be carried out twice, and its patience has not
   * ended. Waits for the connection before it says so.
   */
  async #isPatient(
    error: unknown,
    options: Patience,
    { beganAt, attempts }: { readonly beganAt: number; readonly attempts: number },
  ): Promise<boolean> {
    const { patienceMs = this.#settings.patienceMs ?? 0, deadlineMs = Infinity, signal } = options;
    const isAborted = (): boolean => signal?.aborted === true;
    if (patienceMs === 0 || isAborted() || !this.#mayComeBack(error, options)) return false;
    const { clock } = this.#link.queue;
    const leftMs = beganAt + Math.min(patienceMs, deadlineMs) - clock.now();
    if (leftMs <= 0) return false;
    const pauseMs = Math.max(1, backoffMs(REPEAT, attempts, this.#settings.random()));
    await this.#pause(Math.min(pauseMs, leftMs), signal);
    // Once the patience has ended there is one more attempt only if there is a connection.
    return pauseMs < leftMs || this.#settings.line?.isUp === true || isAborted();
  }

  /** Whether a connection may answer what failed so, without a change that is made twice. */
  #mayComeBack(error: unknown, { isReadOnly, isRepeatable }: Patience): boolean {
    if (isReply(error)) return isTemporary(error);
    if (!isAway(error)) return false;
    if (error.maybeExecuted) return isReadOnly === true || isRepeatable === true;
    // Without a cause it found no room in time: a connection is there.
    return error.cause !== undefined || this.#settings.line?.isUp !== true;
  }

  #exchange(origin: Origin, args: Args, options: CallOptions, { leftMs, isAgain }: Attempt): Promise<unknown> {
    const send = sendOptions(options, leftMs);
    return this.#start<unknown>(origin, { signal: options.signal, deadlineMs: leftMs }, (command, client) => {
      if (isAgain) this.#settings.onRetry();
      if (options.script === undefined) command.exchange(client, args, send);
      else command.exchangeScript(client, args, options.script, send);
    });
  }

  #start<T>(
    origin: Origin,
    { signal, deadlineMs }: { readonly signal?: AbortSignal | undefined; readonly deadlineMs?: number | undefined },
    start: (command: Command<T>, client: RawClient) => void,
  ): Promise<T> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    const { queue } = this.#link;
    const command = queue.begin<T>(origin, deadlineMs, "counts");
    const send = (client: RawClient): void => start(command, client);
    if (this.#settings.onOverload === "reject" && queue.isFull) command.fail(this.#overload(origin));
    else if (queue.hasRoom) send(queue.client!);
    else this.#link.admit(command, send);
    return signal === undefined ? command.promise : this.#abortable(command, signal);
  }

  #abortable<T>(command: Command<T>, signal: AbortSignal): Promise<T> {
    const abort = (): void => {
      if (command.isOver) return;
      command.fail(signal.reason);
      if (command.isSent) this.#settings.onAbandoned?.(signal.reason);
    };
    signal.addEventListener("abort", abort, { once: true });
    const end = (): void => signal.removeEventListener("abort", abort);
    command.promise.then(end, end);
    return command.promise;
  }

  /** One error for each command: there may be a million calls, and each stack trace costs a kilobyte. */
  #overload(origin: Origin): OverloadedError {
    let error = this.#overloads.get(origin);
    if (error === undefined) {
      const { maxInFlight } = this.#link.queue;
      error = new OverloadedError(
        `${origin.tier}: ${origin.operation} was refused: ${maxInFlight} commands are in flight; see maxInFlight`,
        origin,
      );
      this.#overloads.set(origin, error);
    }
    return error;
  }

  #fault(origin: Origin, error: unknown, signal?: AbortSignal): unknown {
    if (signal?.aborted && error === signal.reason) return error;
    // Made for this very call.
    if (error instanceof CacheError && error.operation === origin.operation) return error;
    if (isRedirection(error)) {
      this.#settings.onMoved();
      return new BackendUnavailableError(
        `${origin.tier}: ${origin.operation} was refused: its key lies on another node (${error.message})`,
        { ...origin, cause: error, maybeExecuted: false },
      );
    }
    conceal(error);
    return isReply(error) ? error : fault(origin, error);
  }

  /** For so long, or until there is a connection again. */
  #pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    const { clock } = this.#link.queue;
    return new Promise((resolve) => {
      const stopListening = this.#settings.line?.onUp(() => end());
      const end = (): void => {
        stopListening?.();
        cancel();
        signal?.removeEventListener("abort", end);
        resolve();
      };
      const cancel = clock.schedule(end, ms);
      signal?.addEventListener("abort", end);
    });
  }

  #originOf(operation: string): Origin {
    let origin = this.#origins.get(operation);
    if (origin !== undefined) return origin;
    if (this.#origins.size >= MAX_OPERATIONS) return OTHER;
    this.#origins.set(operation, (origin = Object.freeze({ tier: "redis", operation })));
    return origin;
  }
}

/** node-redis would fail while it writes, and break the connection for all others. */
function check(args: Args): void {
  const isValid =
    Array.isArray(args) &&
    args.length > 0 &&
    args[0]?.length !== 0 &&
    // Not `every`, which leaves out holes.
    args.findIndex(isNoArgument) < 0;
  if (isValid) return;
  const wrong = Array.isArray(args) ? args.findIndex(isNoArgument) : -1;
  throw new InvalidArgumentError(
    wrong < 0
      ? "call(args): args must begin with the name of a command, and be a list of strings and Buffers"
      : `argument ${wrong} of ${wrong === 0 ? "a command" : String(args[0])} must be a string or a Buffer, got ${wrongArgument(args[wrong])}`,
  );
}

const isList = (given: unknown): boolean => Array.isArray(given);
/** UTF-8 has no bytes for half of a surrogate pair, so two texts would be one. */
const isNoArgument = (arg: unknown): boolean => (typeof arg === "string" ? !arg.isWellFormed() : !Buffer.isBuffer(arg));
const wrongArgument = (arg: unknown): string => (typeof arg === "string" ? "half of a surrogate pair" : kindOf(arg));

const BURST_OPTIONS = ["deadlineMs", "typeMapping", "signal", "patienceMs"];
/** Options of a call on the shared connection or on one for a single caller: code written for either names keys. */
export const CALL_OPTIONS: readonly string[] = [
  "key",
  "isReadOnly",
  ...BURST_OPTIONS,
  "operation",
  "isRepeatable",
  "script",
];

/** Options that the commands of a view have made: they are right, and are not looked at again for each call. */
export class CheckedOptions implements CallOptions {
  readonly key: CallOptions["key"];
  readonly isReadOnly: boolean | undefined;
  readonly isRepeatable: boolean | undefined;
  readonly typeMapping: object;
  readonly deadlineMs: number | undefined;
  readonly patienceMs: number | undefined;
  readonly script: string | undefined;
  readonly operation: string | undefined;
  readonly signal: AbortSignal | undefined;

  constructor(options: CallOptions & { readonly typeMapping: object }) {
    this.key = options.key;
    this.isReadOnly = options.isReadOnly;
    this.isRepeatable = options.isRepeatable;
    this.typeMapping = options.typeMapping;
    this.deadlineMs = options.deadlineMs;
    this.patienceMs = options.patienceMs;
    this.script = options.script;
    this.operation = options.operation;
    this.signal = options.signal;
  }
}

const FLAG = flag();
const NAME = text(undefined);

/** Before anything is sent: a signal that is none would fail between a command and its reply. */
function checkCall(place: string, options: CallOptions, known: readonly string[]): void {
  if (options === NONE) return;
  checkCallOptions(place, options, known);
  const { key, isReadOnly, isRepeatable, typeMapping, script, operation } = options;
  checkKey("key", key);
  checkGiven(isReadOnly, "isReadOnly", FLAG);
  checkGiven(isRepeatable, "isRepeatable", FLAG);
  checkGiven(operation, "operation", NAME);
  if (script !== undefined && typeof script !== "string") refuse("script", script, "text");
  checkTimeout("deadlineMs", options.deadlineMs);
  checkTimeout("patienceMs", options.patienceMs);
  checkGiven(options.signal, "signal", SIGNAL);
  if (typeMapping !== undefined && (typeof typeMapping !== "object" || typeMapping === null))
    refuse("typeMapping", typeMapping, "an object, as node-redis has it");
}

/** Without a type mapping that of the connection holds, which one that is undefined would end. */
function sendOptions({ key, typeMapping }: CallOptions, deadlineMs: number | undefined): SendOptions {
  if (typeMapping !== undefined) return { key, deadlineMs, typeMapping };
  return key === undefined && deadlineMs === undefined ? NONE : { key, deadlineMs };
}

/** Redis may be back within the deadline. A call that was refused for good, or for lack of room, is not sent again. */
const isAway = (error: unknown): error is BackendUnavailableError =>
  error instanceof BackendUnavailableError && error.retryable;

/** Whether it was not sent since an attempt to connect has failed, and not only since a connection was lost. */
function couldNotConnect(error: unknown): boolean {
  if (!(error instanceof BackendUnavailableError)) return false;
  return error.operation === "connect" || (!error.maybeExecuted && couldNotConnect(error.cause));
}

const nameOf = ([name]: Args): string => String(name).toUpperCase();

const OTHER: Origin = Object.freeze({ tier: "redis", operation: "command" });

const NONE: Readonly<Record<never, never>> = Object.freeze({});
