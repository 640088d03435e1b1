import { InvalidArgumentError } from "@hotset/core";
import { needsTcp } from "@hotset/redis/internal";
import type { Caller, ExclusiveConnection, PoolStatus, RedisConnection } from "../client/contract.ts";
import { replyError } from "../errors/reply-error.ts";
import { checkKey, KeySpace, type RedisArgument } from "../keys/key-space.ts";
import {
  checkFunction,
  checkOptions,
  checkSignal,
  hostModules,
  type Module,
  type ModuleHost,
} from "../module/module.ts";
import { beginInTime } from "./begin-in-time.ts";
import { CommandBuilder, describeScript } from "./command-builder.ts";
import { bytesCommandsOf, commandsOf, type CommandsSettings } from "./commands.ts";
import type { Fallback, FallbackOptions } from "./fallback.ts";
import type { Invocation } from "./invocation.ts";
import { lenientOf, type LenientCommands, type LenientFailures } from "./lenient.ts";
import type { CallPlace } from "./node-redis-commands.ts";
import { exactIn, exactNumber } from "./numbers.ts";
import type { BytesCommands, Commands } from "./own-commands.ts";
import { runPipeline, type Recorder, type ResultsOf } from "./pipeline.ts";
import { CommandRunner } from "./run.ts";
import { keysInBytes } from "./scan.ts";
import type { SharedModule } from "./shared-module.ts";
import {
  checkBounds,
  exclusiveTarget,
  impatient,
  targetOf,
  type Bounds,
  type CallBounds,
  type Target,
} from "./target.ts";
import { runTransaction, type Transaction, type TransactionOptions, type TransactionResult } from "./transaction.ts";

export interface ViewSettings {
  readonly connection: RedisConnection;
  readonly isEnabled: boolean;
  readonly clientName: string;
  readonly defaultTtlMs: number | undefined;
  readonly defaultHashTtlMs: number | undefined;
  readonly failures: LenientFailures;
  readonly modules: SharedModule;
  /** For every call. @default none */
  readonly bounds?: Bounds | undefined;
}

/** Redis as one tenant sees it, or as a whole. A cheap object over shared sockets: make one for each request. */
export class RedisView implements ModuleHost {
  /** The commands of the view, with text in replies. */
  readonly commands: Commands;
  readonly #settings: ViewSettings;
  readonly #space: KeySpace;
  readonly #target: Target;
  readonly #builder: CommandBuilder;
  /** For modules, which know the keys of the tenant alone. */
  readonly #runner: CommandRunner;
  /** For commands. */
  readonly #fallingBack: CommandRunner;
  readonly #fallback: Fallback | undefined;
  #module: Module | undefined;
  #lenient: LenientCommands | undefined;
  #bytes: BytesCommands | undefined;

  constructor(settings: ViewSettings, space: KeySpace = KeySpace.root, fallback?: Fallback) {
    this.#settings = settings;
    this.#space = space;
    this.#builder = new CommandBuilder({ ...settings, space });
    this.#target = targetOf(settings.connection, settings.bounds, settings.modules.clock);
    this.#runner = new CommandRunner(this.#target, settings);
    this.#fallingBack = fallback === undefined ? this.#runner : new CommandRunner(this.#target, settings, fallback);
    this.#fallback = fallback;
    this.commands = this.#commandsOver(this.#target);
  }

  /**
   * The same commands with bytes in place of text in replies: `redis.bytes.hgetAll(key)`. For values, fields and keys
   * that are not UTF-8.
   */
  get bytes(): BytesCommands {
    return (this.#bytes ??= bytesCommandsOf(this.#commandsSettings(this.#target)));
  }

  /**
   * The usual commands where Redis is an extra: a failure is answered with a default, and counted. They do not wait for
   * a Redis that is down.
   */
  get lenient(): LenientCommands {
    return (this.#lenient ??= lenientOf(this.#commandsOver(impatient(this.#target)), this.#settings.failures));
  }

  /**
   * The keys and channels below `<id>:`, with the same connection. Characters of `id` other than letters, digits, `_`,
   * `.` and `-` are written as `%XX`, so no id leads into the keys of another.
   *
   * @throws {InvalidArgumentError} for an id that is not text of 1 to 256 characters, and for unknown options.
   */
  tenant(id: string, options: FallbackOptions = {}): RedisView {
    checkOptions("tenant(id)", options, ["fallback"]);
    if (options.fallback !== undefined && !["read", "migrate"].includes(options.fallback))
      throw new InvalidArgumentError('tenant(id): fallback must be "read" or "migrate"');
    const inside = this.#space.tenant(id);
    const fallback = options.fallback && { how: options.fallback, inside, outside: this.#space };
    return new RedisView(this.#settings, inside, fallback);
  }

  /**
   * The same keys and connection, with other bounds on each call: `redis.within({ deadline: "50ms" })`. The time that a
   * call waits for a connection counts. Subscriptions, and what modules do in the background, are not bounded by it.
   *
   * @throws {InvalidArgumentError} for a deadline that is not above 0, and for unknown options.
   */
  within(bounds: CallBounds): RedisView {
    const merged = { ...this.#settings.bounds, ...checkBounds("within", bounds) };
    return new RedisView({ ...this.#settings, bounds: merged }, this.#space, this.#fallback);
  }

  /**
   * Removes every key of a tenant, by `SCAN` and `UNLINK`. @returns how many keys
   *
   * @throws {InvalidArgumentError} for the view of all keys: only those of a tenant can be purged.
   * @throws {BackendUnavailableError} where Redis is not reached; then some keys may be removed.
   */
  async purge(): Promise<number> {
    if (!this.#space.isTenant)
      throw new InvalidArgumentError("purge: only the keys of a tenant can be purged; commands.flushDb() removes all");
    const own = commandsOf({ ...this.#settings, connection: this.#target, space: this.#space });
    let removed = 0;
    const parts = keysInBytes(this.#target, this.#space, (primary, page) => this.#runner.runOver(primary, page));
    for await (const keys of parts) removed += await own.delete(keys);
    return removed;
  }

  /**
   * Sends the commands that `describe` returns together, without waiting in between. Each has its own result. Commands
   * of one slot are carried out in their order. They are not a transaction.
   *
   * @throws {InvalidArgumentError} for arguments that cannot be sent; then nothing was sent.
   */
  pipeline<Described extends readonly [] | readonly Invocation<unknown>[]>(
    describe: (commands: Recorder) => Described,
  ): Promise<ResultsOf<Described>> {
    return runPipeline(describe, this.#builder, this.#place, this.#fallingBack);
  }

  /**
   * `MULTI` and `EXEC` around the commands that `describe` returns: all are carried out with nothing in between, or
   * none. With `watch` it runs on a separate connection, and only if no watched key was changed since then.
   *
   * @throws {CommandError} `ABORTED` where Redis refused one of the commands, `CROSS_SLOT` for keys of several slots
   *   of a cluster; nothing was carried out. An error of `describe` is passed on.
   * @throws {OverloadedError} when no connection became free in time.
   */
  transaction<Queued extends readonly [] | readonly Invocation<unknown>[]>(
    options: TransactionOptions,
    describe: (
      transaction: Transaction,
    ) => ReturnType<Transaction["discard"]> | Queued | Promise<ReturnType<Transaction["discard"]> | Queued>,
  ): Promise<TransactionResult<Queued>> {
    const parts = {
      connection: this.#settings.connection,
      bounds: this.#settings.bounds ?? {},
      space: this.#space,
      builder: this.#builder,
      place: this.#place,
      runner: this.#fallingBack,
      clientName: this.#settings.clientName,
      shared: { commands: this.commands, bytes: this.bytes },
      commandsOn: (exclusive: ExclusiveConnection) => this.#commandsOn(exclusive),
      borrow: this.#borrow.bind(this),
    };
    return runTransaction(parts, options, describe);
  }

  /** Connections that one caller has for itself: for `WATCH`, and for what changes a connection. */
  get pool(): ViewPool {
    const { connection } = this.#settings;
    return {
      status: connection.pool.status,
      use: (task, options) => {
        this.#runner.check("pool.use", []);
        if (connection.isHttp) throw needsTcp("pool.use(task)");
        return this.#use(task, options);
      },
    };
  }

  async #use<T>(task: Task<T>, options: Parameters<ViewPool["use"]>[1] = {}): Promise<T> {
    checkFunction("pool.use(task, options): task", task);
    checkOptions("pool.use(task, options)", options, ["key", "signal"]);
    const { key, signal } = options;
    checkSignal("pool.use: signal", signal);
    const inside = key === undefined ? undefined : this.#space.inside(checkKey("pool.use", key));
    return this.#borrow(
      (exclusive) => {
        const { commands, bytes } = this.#commandsOn(exclusive);
        return task(commands, bytes);
      },
      inside,
      signal,
    );
  }

  /** A connection for one caller, who waits for it as long as a call of this view may take. */
  #borrow<T>(
    task: (exclusive: ExclusiveConnection) => Promise<T>,
    key: RedisArgument | undefined,
    signal?: AbortSignal,
  ): Promise<T> {
    const { connection, bounds = {}, modules } = this.#settings;
    const both = bounds.signal && signal ? AbortSignal.any([bounds.signal, signal]) : (bounds.signal ?? signal);
    return beginInTime({ ...bounds, ...(both && { signal: both }) }, modules.clock, (wait) =>
      connection.pool.use(
        (exclusive) => {
          wait.begin();
          return task(exclusive);
        },
        { ...(key === undefined ? undefined : { key }), signal: wait.signal },
      ),
    );
  }

  static {
    hostModules(this.prototype, (view) => (view.#module ??= view.#moduleOver(view.#settings)));
  }

  #moduleOver({ connection, modules }: ViewSettings): Module {
    const space = this.#space;
    const runner = this.#runner;
    // Not async functions: each would add a promise to every call.
    const run = <T>(describe: () => Invocation<T>, over?: Caller): Promise<T> => {
      try {
        return over === undefined ? runner.run(describe()) : runner.runOver(over, describe());
      } catch (error) {
        return Promise.reject(error);
      }
    };
    return {
      clock: modules.clock,
      counts: modules.counts,
      limits: modules.limits,
      random: Math.random,
      get connection() {
        runner.check("open", []);
        return connection;
      },
      isHttp: connection.isHttp,
      space,
      onDisconnect: (stop, stage) => modules.onDisconnect(stop, stage),
      report: (kind, error) => modules.report(kind, error),
      runScript: (text, keys, args, draft, over) => run(() => describeScript(space, text, keys, args, draft), over),
      runInside: (describe, over) => run(() => describe(space), over),
      errorOf: replyError,
      exactNumber,
      exactIn,
    };
  }

  get #place(): CallPlace {
    return { space: this.#space, replies: "text", protocol: this.#settings.connection.protocol };
  }

  /** Commands over one connection, which wait there. */
  #commandsOn(exclusive: ExclusiveConnection): Pick<Transaction, "commands" | "bytes"> {
    const settings = this.#commandsSettings(exclusiveTarget(exclusive, this.#settings));
    return { commands: commandsOf(settings), bytes: bytesCommandsOf(settings) };
  }

  #commandsOver(connection: Target): Commands {
    return commandsOf(this.#commandsSettings(connection));
  }

  #commandsSettings(connection: Target): CommandsSettings {
    return { ...this.#settings, connection, space: this.#space, fallback: this.#fallback };
  }
}

type Task<T> = (commands: Commands, bytes: BytesCommands) => Promise<T>;

/** Connections that one task has for itself. */
export interface ViewPool {
  /** `size` is the sum of `idle` and `inUse`; `waiting` callers are in line. */
  readonly status: PoolStatus;
  /**
   * Runs `task` with commands, and those of `bytes`, over a connection that nothing else uses meanwhile, in the order
   * of calls. In a cluster
   * it is that of the node of `key`. Afterwards the connection is as new, or closed.
   *
   * @throws {OverloadedError} when none became free in `pool.wait`. An error of `task` is passed on.
   * @throws {BackendUnavailableError} when none became free within the deadline of the view: nothing was sent. The
   *   reason of a signal that came first, likewise.
   */
  use<T>(
    task: Task<T>,
    options?: { readonly key?: RedisArgument | undefined; readonly signal?: AbortSignal | undefined },
  ): Promise<T>;
}
