import type { Clock, Duration } from "@hotset/core";
import type { Caller, ExclusiveConnection, RedisConnection } from "../client/contract.ts";
import type { RedisArgument } from "../keys/key-space.ts";
import { checkOptions, checkSignal, durationMs } from "../module/module.ts";
import { beginInTime } from "./begin-in-time.ts";

/** Where commands go: over the shared connection, or over one that a caller has for itself. */
export interface Target extends Caller, Pick<RedisConnection, "isCluster" | "protocol" | "hasExactNumbers"> {
  /** Runs `task` on all primaries in parallel. */
  each<T>(task: (primary: Caller) => Promise<T>): Promise<readonly T[]>;
  /** Whether others send over it too: then a command that waits gets a separate socket. */
  readonly isShared: boolean;
  /** Sends a command that may wait in the server for `blockMs`. */
  wait(args: readonly RedisArgument[], options: WaitOptions): Promise<unknown>;
}

export interface WaitOptions {
  readonly key: RedisArgument | undefined;
  readonly blockMs: number;
  readonly typeMapping: object;
}

/** Bounds on every call of a view. */
export interface CallBounds {
  /** On the whole call; for a command that waits in Redis too, however long its own timeout is. */
  readonly deadline?: Duration | undefined;
  /** How long a call waits for a connection, within `deadline`. @default that of `createRedis` */
  readonly patience?: Duration | undefined;
  /** Ends calls with its reason. A command that was sent may be carried out; a command that waits ends. */
  readonly signal?: AbortSignal | undefined;
}

/** Bounds of a call, as a connection takes them. */
export interface Bounds {
  readonly deadlineMs?: number | undefined;
  readonly patienceMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** @throws {InvalidArgumentError} for a deadline that is not above 0, another signal, and unknown options. */
export function checkBounds(place: string, given: CallBounds): Bounds {
  checkOptions(place, given, ["deadline", "patience", "signal"]);
  const { deadline, patience, signal } = given ?? {};
  checkSignal(`${place}: signal`, signal);
  return {
    ...(deadline === undefined ? undefined : { deadlineMs: durationMs(`${place}: deadline`, deadline) }),
    ...(patience === undefined ? undefined : { patienceMs: durationMs(`${place}: patience`, patience, { min: 0 }) }),
    ...(signal === undefined ? undefined : { signal }),
  };
}

export function targetOf(connection: RedisConnection, bounds: Bounds | undefined, clock: Clock): Target {
  return {
    protocol: connection.protocol,
    hasExactNumbers: connection.hasExactNumbers,
    isCluster: connection.isCluster,
    call: bounded(connection, bounds).call,
    each: (task) =>
      bounds === undefined
        ? connection.each(task)
        : beginInTime(bounds, clock, ({ begin }) =>
            connection.each((primary) => {
              begin();
              return task(bounded(primary, bounds));
            }),
          ),
    isShared: true,
    /** On a separate socket: the shared one would wait with it. */
    wait: async (args, { key, blockMs, typeMapping }) => {
      const place = key === undefined ? undefined : { key };
      const startedAt = clock.now();
      const { patienceMs: _, ...own } = bounds ?? {};
      const socket = await connection.open({ role: "blocking", ...place, ...own });
      try {
        return await socket.call(args, { blockMs, typeMapping, ...leftOf(own, clock.now() - startedAt) });
      } finally {
        await socket.close();
      }
    },
  };
}

/** The wait for a socket counts. */
function leftOf(bounds: Bounds, passedMs: number): Bounds {
  if (bounds.deadlineMs === undefined) return bounds;
  return { ...bounds, deadlineMs: Math.max(1, bounds.deadlineMs - passedMs) };
}

/** Over one connection, where commands wait too. */
export function exclusiveTarget(
  exclusive: ExclusiveConnection,
  { connection, bounds }: { readonly connection: RedisConnection; readonly bounds?: Bounds | undefined },
): Target {
  // A connection of one's own takes no key, and sends nothing again.
  const own: Caller = {
    call: (args, { typeMapping, deadlineMs, signal, script, operation } = {}) =>
      exclusive.call(args, {
        typeMapping,
        script,
        operation,
        ...(deadlineMs === undefined ? undefined : { deadlineMs }),
        ...(signal === undefined ? undefined : { signal }),
      }),
  };
  const caller = bounded(own, bounds);
  return {
    protocol: connection.protocol,
    hasExactNumbers: connection.hasExactNumbers,
    isCluster: connection.isCluster,
    call: caller.call,
    each: async (task) => [await task(caller)],
    isShared: false,
    wait: (args, { blockMs, typeMapping }) => exclusive.call(args, { blockMs, typeMapping, ...bounds }),
  };
}

/** Bounds of one call count more than those of its view. */
function bounded(caller: Caller, bounds: Bounds | undefined): Caller {
  if (bounds === undefined) return { call: (args, options) => caller.call(args, options) };
  return {
    call: (args, options = {}) => {
      const deadlineMs = options.deadlineMs ?? bounds.deadlineMs;
      const patienceMs = options.patienceMs ?? bounds.patienceMs;
      const signal = options.signal ?? bounds.signal;
      return caller.call(args, {
        ...options,
        deadlineMs,
        patienceMs,
        ...(signal === undefined ? undefined : { signal }),
      });
    },
  };
}

/** Reads are not sent again, and no call waits until Redis is back. */
export const impatient = (target: Target): Target => ({
  ...target,
  call: (args, options) => target.call(args, { ...options, isReadOnly: false, patienceMs: 0 }),
});
