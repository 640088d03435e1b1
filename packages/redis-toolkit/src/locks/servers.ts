import { BackendUnavailableError } from "@hotset/core";
import { scheduleRunning } from "@hotset/core/internal";
import type { Caller, ExclusiveConnection } from "../client/contract.ts";
import type { RedisView } from "../index.ts";
import type { ScriptDraft } from "../module/contract.ts";
import { moduleOf, type Module } from "../module/module.ts";
import type { Claim } from "./claim.ts";

export type Vote =
  | { readonly kind: "granted"; readonly fence: number }
  | { readonly kind: "held"; readonly leftMs: number };

/** The servers of a lock, and the module of the first. */
export interface Ground {
  readonly module: Module;
  readonly servers: LockServers;
}

/** One holder, as its scripts name it. */
export interface Holder {
  readonly claim: Claim;
  readonly token: string;
  readonly signal?: AbortSignal | undefined;
}

/** Replicas that must have a lock, and its extensions, before they count. */
export interface Replicas {
  readonly count: number;
  readonly withinMs: number;
}

/** Where a lock is kept: one Redis, or several that know nothing of each other, of which most must agree. */
export class LockServers {
  readonly #views: readonly RedisView[];
  readonly #replicas: Replicas | undefined;

  constructor(views: readonly RedisView[], replicas: Replicas | undefined) {
    this.#views = views;
    this.#replicas = replicas;
  }

  get isQuorum(): boolean {
    return this.#views.length > 1;
  }

  /** Whether an attempt that failed with `error` may have taken the lock, or released it. */
  mayHold(error: unknown): boolean {
    if (this.isQuorum || this.#replicas !== undefined) return true;
    return isLostReply(error);
  }

  /**
   * One attempt. A caller that does not wait is answered as by any write: immediately where Redis is known to be down.
   * Where the reply was lost with the connection, it is asked once more.
   *
   * @param leftMs how much longer the caller waits; `undefined` if it never does.
   * @throws what keeps Redis, or most of the servers, from answering.
   */
  acquire(holder: Holder, ttlMs: number, leftMs: number | undefined): Promise<Vote> {
    const { claim } = holder;
    const args = [holder.token, String(ttlMs), claim.argument({ isWaiting: leftMs !== undefined && leftMs > 0 })];
    const send = (view: RedisView, bounds: Partial<ScriptDraft<Vote>>): Promise<Vote> =>
      this.#write(view, holder, claim.scripts.acquire, args, { ...bounds, decode: voteOf, operation: "locks.acquire" });
    const ask = (view: RedisView): Promise<Vote> =>
      leftMs !== undefined
        ? send(view, { deadlineMs: Math.max(leftMs, LEAST_MS) })
        : send(view, { isReadOnly: false }).catch((error: unknown) => {
            if (!isLostReply(error)) throw error;
            return send(view, { deadlineMs: AGAIN_MS }).catch(afterLost(error));
          });
    return this.isQuorum ? this.#acquireMost(holder, ttlMs, ask) : ask(this.#views[0]!);
  }

  async #acquireMost(holder: Holder, ttlMs: number, ask: (view: RedisView) => Promise<Vote>): Promise<Vote> {
    const votes = await majority(this.#views.map(ask), ({ kind }) => kind === "granted");
    if (votes === undefined) return { kind: "held", leftMs: NOT_KNOWN };
    const fence = Math.max(...votes.map((vote) => (vote.kind === "granted" ? vote.fence : 0)));
    // Most servers must know the fence, so that one of them gives the next holder a greater one.
    const isKnown = await this.extend(holder, ttlMs, fence);
    return isKnown ? { kind: "granted", fence } : { kind: "held", leftMs: NOT_KNOWN };
  }

  /** @returns whether it was held. May be sent again: it does the same twice. */
  extend(holder: Holder, ttlMs: number, fence = 0): Promise<boolean> {
    const args = [holder.token, String(ttlMs), String(fence)];
    const ask = (view: RedisView): Promise<boolean> =>
      this.#write(view, holder, holder.claim.scripts.extend, args, {
        decode: (reply) => reply === 1,
        operation: "lock.extend",
      });
    return isMost(this.#views, ask);
  }

  /**
   * Sent a second time when the first reply is lost.
   *
   * @param attempt `again`: an earlier call may have released it, so the holder may be gone by that
   * @returns whether it was held until now
   */
  release({ claim, token, signal }: Holder, fence: number, attempt: "first" | "again" = "first"): Promise<boolean> {
    const send = (view: RedisView, isAgain: "0" | "1"): Promise<boolean> =>
      moduleOf(view).runScript(claim.scripts.release, claim.keys, [token, String(fence), isAgain], {
        isReadOnly: isAgain === "1",
        isRepeatable: isAgain === "1",
        decode: (reply) => reply === 1,
        signal,
        operation: "lock.release",
      });
    return isMost(this.#views, async (view) => {
      try {
        return await send(view, attempt === "again" ? "1" : "0");
      } catch (error) {
        if (!(error instanceof BackendUnavailableError)) throw error;
        const isAgain = attempt === "again" || error.maybeExecuted;
        return send(view, isAgain ? "1" : "0").catch(afterLost(error));
      }
    });
  }

  /** A script that may be sent again, because its token is recognised. */
  #write<T>(
    view: RedisView,
    { claim, signal }: Holder,
    script: string,
    args: readonly string[],
    bounds: Pick<ScriptDraft<T>, "deadlineMs" | "isReadOnly" | "decode" | "operation">,
  ): Promise<T> {
    const { isReadOnly = true } = bounds;
    const draft = { ...bounds, signal, isReadOnly, isRepeatable: isReadOnly };
    const replicas = this.#replicas;
    if (replicas === undefined) return moduleOf(view).runScript(script, claim.keys, args, draft);
    const { connection, space, clock } = moduleOf(view);
    const key = space.inside(claim.keys[0]!);
    const { deadlineMs = Infinity } = bounds;
    const late = new AbortController();
    const cancel = scheduleRunning(clock, deadlineMs, () => late.abort(noConnection(deadlineMs)));
    const waiting = signal === undefined ? late.signal : AbortSignal.any([signal, late.signal]);
    const borrowed = connection.pool.use(
      (exclusive) => {
        cancel();
        return moduleOf(view).runScript(script, claim.keys, args, draft, awaiting(replicas, exclusive));
      },
      { key, signal: waiting },
    );
    return borrowed.finally(cancel);
  }
}

/** An attempt has time for a round trip, however short its wait. */
const LEAST_MS = 100;
/** For the second attempt of a caller that does not wait, with the new connection. */
const AGAIN_MS = 1_000;
/** No server said how long the holder has left. */
const NOT_KNOWN = -1;

const noConnection = (withinMs: number): BackendUnavailableError =>
  new BackendUnavailableError(`lock: no connection became available within ${withinMs} ms`, {
    operation: "connect",
    maybeExecuted: false,
  });

/** Whether an attempt that failed so may have been carried out. */
export const isLostReply = (error: unknown): boolean =>
  (error as { readonly maybeExecuted?: unknown }).maybeExecuted === true;

/** For the attempt after one that failed: if that may have been carried out, the failure of this one denies nothing. */
const afterLost =
  (first: unknown) =>
  (next: unknown): never => {
    const isUnsent = next instanceof BackendUnavailableError && !next.maybeExecuted;
    throw isUnsent && isLostReply(first) ? first : next;
  };

function voteOf(reply: unknown): Vote {
  const [isGranted, value] = reply as readonly [number, string | number];
  return isGranted === 1 ? { kind: "granted", fence: Number(value) } : { kind: "held", leftMs: Number(value) };
}

/**
 * A caller that waits for replicas after each command: `WAIT` is about the writes of its own connection. Too few of
 * them are the error reply that Redis has for its own setting of this kind.
 */
const awaiting = ({ count, withinMs }: Replicas, connection: ExclusiveConnection): Caller => ({
  call: async (args, options) => {
    const reply = await connection.call(args, options);
    const reached = await connection.call(["WAIT", String(count), String(withinMs)], { blockMs: withinMs });
    if (Number(reached) >= count) return reply;
    throw new Error(`NOREPLICAS ${Number(reached)} of ${count} replicas had it within ${withinMs} ms`);
  },
});

function isMost(views: readonly RedisView[], ask: (view: RedisView) => Promise<boolean>): Promise<boolean> {
  if (views.length === 1) return ask(views[0]!);
  return majority(views.map(ask), (answer) => answer).then((agreed) => agreed !== undefined);
}

/**
 * The answers of a majority that agrees; `undefined` once most have answered and it cannot come about. Waits for no
 * more servers than that takes.
 *
 * @throws {BackendUnavailableError} if so many did not answer that the others are no majority.
 */
function majority<T>(asked: readonly Promise<T>[], agrees: (answer: T) => boolean): Promise<readonly T[] | undefined> {
  const needed = Math.floor(asked.length / 2) + 1;
  const most = asked.length - needed;
  return new Promise((resolve, reject) => {
    const agreed: T[] = [];
    const errors: unknown[] = [];
    let refusals = 0;
    const judge = (): void => {
      if (agreed.length >= needed) resolve(agreed.slice());
      else if (errors.length > most) reject(away(errors, asked.length));
      else if (refusals + errors.length > most && agreed.length + refusals >= needed) resolve(undefined);
    };
    for (const one of asked)
      one.then(
        (answer) => {
          if (agrees(answer)) agreed.push(answer);
          else refusals += 1;
          judge();
        },
        (error: unknown) => {
          errors.push(error);
          judge();
        },
      );
  });
}

const away = (errors: readonly unknown[], servers: number): BackendUnavailableError =>
  new BackendUnavailableError(`lock: ${errors.length} of ${servers} servers did not answer, so there is no majority`, {
    operation: "lock",
    cause: new AggregateError(errors),
  });
