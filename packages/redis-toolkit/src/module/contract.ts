import type { Clock } from "@hotset/core";
import type { Caller, RedisConnection } from "../client/contract.ts";
import type { KeySpace, RedisArgument } from "../keys/key-space.ts";
import type { LimitCounts, ModuleCounts } from "./counts.ts";

/**
 * When `redis.disconnect()` stops it, one stage after the other: `workers` run handlers that may wait for anything,
 * `listeners` run handlers for messages, and `waits` are what handlers wait for.
 */
export type StopStage = "workers" | "listeners" | "waits";

/** One command: what is sent, where it goes, and what its reply means. Nothing is sent before it is run. */
export interface Invocation<T> {
  /** Name and arguments, as Redis gets them. */
  readonly args: readonly RedisArgument[];
  /** The keys among the arguments, as Redis has them. The first decides the node of a cluster. */
  readonly keys: readonly RedisArgument[];
  /** Whether the command changes nothing, so that it may be sent again when a connection is lost. */
  readonly isReadOnly: boolean;
  /** Carried out twice it changes as much as once: sent again where its reply was lost, within its patience. */
  readonly isRepeatable?: boolean | undefined;
  /**
   * Whether text in the reply comes as strings or as Buffers; `exact`: as Buffers, and whole numbers as strings;
   * `flat`: as Buffers, and maps as flat lists, since node-redis makes text of the keys of a map.
   */
  readonly replies: "text" | "bytes" | "exact" | "flat";
  /** Reads the reply. An error of it reaches the caller. */
  readonly decode: (reply: unknown) => T;
  /** The server may wait for so long before it replies, `Infinity` without end: it gets a separate connection. */
  readonly blockMs?: number | undefined;
  /** Every primary of a cluster carries it out: replies are added, joined to one list, or the first that is there. */
  readonly spread?: "sum" | "join" | "first" | undefined;
  /** Bound on the whole call. @default `commandTimeout` */
  readonly deadlineMs?: number | undefined;
  /** How long it waits for a connection. @default that of the view */
  readonly patienceMs?: number | undefined;
  /** Ends the call with its reason. A command that was sent may be executed. */
  readonly signal?: AbortSignal | undefined;
  /** The text of the script that `EVALSHA` names, for a server that has forgotten it. */
  readonly script?: string | undefined;
  /** The same by a script, which replies with text: for a place where a whole number never comes as text. */
  readonly inText?: Invocation<T> | undefined;
  /** Whether the reply may be a map, which the decoder does not read from a flat list. */
  readonly needsMaps?: boolean | undefined;
  /** In errors: the call that a script carries out. @default the name of the command */
  readonly operation?: string | undefined;
  /** The script has written nothing where it ends with an error. @default false */
  readonly isWhole?: boolean | undefined;
}

/** A command, without its name and arguments. */
export interface Draft<T> {
  /** As {@link Invocation.isReadOnly}. @default false */
  readonly isReadOnly?: boolean | undefined;
  /** As {@link Invocation.isRepeatable}. @default false */
  readonly isRepeatable?: boolean | undefined;
  /** As {@link Invocation.replies}. @default 'text' */
  readonly replies?: Invocation<T>["replies"] | undefined;
  /** As {@link Invocation.decode}. */
  readonly decode: (reply: unknown) => T;
  /** Bound on the whole call. @default `commandTimeout` */
  readonly deadlineMs?: number | undefined;
  /** As {@link Invocation.patienceMs}. */
  readonly patienceMs?: number | undefined;
  /** As {@link Invocation.signal}. */
  readonly signal?: AbortSignal | undefined;
}

/** A run of a script, without its text, keys and arguments. */
export interface ScriptDraft<T> extends Draft<T>, Pick<Invocation<T>, "isWhole"> {
  /** In errors: the call of the module, such as `locks.acquire`. `undefined`: `EVALSHA`, for a script of the caller. */
  readonly operation: string | undefined;
}

/** The parts that a module is made of: one for each view, over the connection of all views. */
export interface Module {
  /** For waits of this process. Instants that several processes compare are the server's: `TIME`, in a script. */
  readonly clock: Clock;
  /** From 0 to 1, without 1. */
  readonly random: () => number;
  /** Every access throws a `CommandError` `REDIS_DISABLED` where Redis is disabled. */
  readonly connection: RedisConnection;
  /** Whether commands are requests over HTTP: then nothing waits inside Redis, and there are no subscriptions. */
  readonly isHttp: boolean;
  /** Add to these what happens: `redis.stats().modules`, of all views. */
  readonly counts: { -readonly [name in keyof ModuleCounts]: number };
  /** By the name of the limit: as `limitsAllowed` and `limitsRefused`, for people. */
  readonly limits: Map<string, LimitCounts>;
  /** The keys and channels of the view. */
  readonly space: KeySpace;
  /**
   * `redis.disconnect()` calls `stop` and waits for it, with all others of its stage, before it begins the next stage,
   * and closes the connection at last: bound it. Where the stage has begun, `stop` runs in the same turn, and is not
   * waited for.
   *
   * @param stage @default 'workers'
   * @returns a function that takes it back
   */
  onDisconnect(stop: () => Promise<unknown>, stage?: StopStage): () => void;
  /**
   * Trouble of work that no caller waits for: a line of `logger` for each `kind`, at most one a second; without a
   * logger one warning of Node's for each kind. Errors of others than hotset are shown by their name alone.
   */
  report(kind: string, error: unknown): void;
  /**
   * Runs a script over the keys of the view.
   *
   * @param over a connection of the module, in place of the shared one
   * @throws {CommandError} where Redis refuses it, or the script fails.
   * @throws {BackendUnavailableError} where Redis is not reached.
   */
  runScript<T>(
    text: string,
    keys: readonly RedisArgument[],
    args: readonly RedisArgument[],
    draft: ScriptDraft<T>,
    over?: Caller,
  ): Promise<T>;
  /**
   * Runs a command over the keys of the view.
   *
   * @throws {CommandError} where Redis refuses it.
   * @throws {BackendUnavailableError} where Redis is not reached.
   */
  runInside<T>(describe: (space: KeySpace) => Invocation<T>, over?: Caller): Promise<T>;
  /** An error of a connection that the module has opened, as commands of the view reject. */
  errorOf(operation: string, error: unknown): unknown;
  /**
   * A whole number that Redis answered, as a number or as text; and a reply of such numbers, in lists.
   *
   * @throws {CommandError} `NOT_A_NUMBER` beyond 2^53.
   */
  readonly exactNumber: (operation: string, reply: unknown) => number;
  /** As {@link Module.exactNumber}, for a reply of such numbers in lists. */
  readonly exactIn: (operation: string, reply: unknown) => unknown;
}

/** A view: `createRedis(...)`, and each tenant of it. */
export interface ModuleHost {
  /**
   * The view of one tenant.
   *
   * @throws {InvalidArgumentError} for an id that is not text of 1 to 256 characters.
   */
  tenant(id: string): ModuleHost;
}

/** Registered: a view of another copy of this package has it too. */
const MODULE = Symbol.for("@hotset/redis-toolkit/module");

/** Makes views of `host`, or of what has it as its prototype: `moduleOf` gives what `describe` gives. */
export const hostModules = <Host extends object>(host: Host, describe: (view: Host) => Module): Host =>
  Object.defineProperty(host, MODULE, {
    get(this: Host) {
      return describe(this);
    },
  });

/** `undefined` for what is not a view. */
export const moduleIn = (view: unknown): Module | undefined =>
  (view as { readonly [MODULE]?: Module } | null | undefined)?.[MODULE];
