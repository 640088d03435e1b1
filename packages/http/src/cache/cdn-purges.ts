import { BackendUnavailableError, type Clock } from "@hotset/core";
import { CacheError, inNoCall } from "@hotset/core/internal";
import type { Cdn } from "./cdn.ts";

type Mode = "hard" | "soft";

/** How the purges of a CDN are reported. */
interface Reports {
  readonly failed: (error: CacheError) => void;
  /** So many keys were given up at the end. */
  readonly lost: (count: number) => void;
}

/** The purges of one round of calls. */
class Round {
  /** Sent again after `settle`. */
  first = new Map<string, Mode>();
  /** Not confirmed yet. */
  unsent = new Map<string, Mode>();
  readonly tried: PromiseWithResolvers<boolean> = Promise.withResolvers();
  readonly confirmed: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly settled: PromiseWithResolvers<void> = Promise.withResolvers();
}

/**
 * Purges on their way to a CDN: one call at a time, each of as many keys as it takes. A call that fails is repeated until
 * the CDN confirms it, with pauses of 1 s to 1 min, or as long as the CDN says. More keys than 10,000 become one: that of
 * everything.
 *
 *     owed ──calls──▶ confirmed ──settle──▶ owed once more ──calls──▶ settled
 *       ▲               │ failed
 *       └─── a pause ◀──┘
 */
export class CdnPurges {
  readonly #cdn: Cdn;
  readonly #all: string;
  readonly #clock: Clock;
  readonly #reports: Reports;
  /** The round that begins next. */
  #next: Round | undefined;
  #running: Promise<void> | undefined;
  #failures = 0;
  #endPause: (() => void) | undefined;
  /** Each sends second purges that wait for their time. */
  readonly #later = new Set<() => void>();
  readonly #unsettled = new Set<Promise<void>>();
  #limit: AbortController | undefined;
  #phase: "open" | "ending" | "ended" = "open";
  /** Whether the time for the end has passed. */
  #isLate = false;

  /** @param all the key of everything. */
  constructor(cdn: Cdn, all: string, clock: Clock, reports: Reports) {
    this.#cdn = cdn;
    this.#all = all;
    this.#clock = clock;
    this.#reports = reports;
  }

  /** Whether the last call failed: the next one may be a minute away. */
  get isFailing(): boolean {
    return this.#failures > 0;
  }

  /** Resolves after the first attempt: whether the CDN has confirmed it. After `settle` it is sent once more. */
  add(keys: readonly string[], mode: Mode): Promise<boolean> {
    const owed = keys.map((key) => [key, mode] as const);
    const round = this.#owe(owed, owed);
    return round.tried.promise;
  }

  /** Resolves once all that was added until now was sent again, or given up by {@link close}. */
  async settled(): Promise<void> {
    await Promise.all(this.#unsettled);
  }

  /** Tries once more what has failed, sends what waits for its time, and gives up the rest: in 3 seconds in all. */
  async close(): Promise<void> {
    this.#phase = "ending";
    const cancel = this.#clock.schedule(() => {
      this.#isLate = true;
      this.#limit?.abort(late(this.#cdn, CLOSING_MS));
    }, CLOSING_MS);
    this.#endPause?.();
    await this.#running;
    for (const send of this.#later) send();
    await this.#running;
    cancel();
    this.#phase = "ended";
    this.#giveUp();
  }

  #giveUp(): void {
    const left = this.#next;
    this.#next = undefined;
    if (left === undefined) return;
    this.#reports.lost(left.unsent.size);
    // No caller waits for what will not come.
    left.tried.resolve(false);
    left.confirmed.resolve();
    left.settled.resolve();
  }

  #owe(unsent: Iterable<readonly [string, Mode]>, first: Iterable<readonly [string, Mode]>): Round {
    const round = (this.#next ??= this.#newRound());
    merge(round.unsent, unsent);
    merge(round.first, first);
    if (Math.max(round.unsent.size, round.first.size) > MOST_OWED) {
      round.unsent = new Map([[this.#all, "hard"]]);
      round.first = new Map(round.unsent);
    }
    this.#running ??= inNoCall(() => this.#run());
    return round;
  }

  #newRound(): Round {
    const round = new Round();
    const settled = round.settled.promise.then(() => void this.#unsettled.delete(settled));
    this.#unsettled.add(settled);
    return round;
  }

  async #run(): Promise<void> {
    // With all that is owed by the end of this turn.
    await Promise.resolve();
    for (let round = this.#next; round !== undefined; round = this.#next) {
      this.#next = undefined;
      const pauseMs = await this.#send(round.unsent);
      round.tried.resolve(pauseMs === undefined);
      if (pauseMs === undefined) {
        this.#confirmed(round);
        continue;
      }
      const next = (this.#next ??= this.#newRound());
      merge(next.unsent, round.unsent);
      merge(next.first, round.first);
      void next.confirmed.promise.then(round.confirmed.resolve);
      void next.settled.promise.then(round.settled.resolve);
      if (this.#phase !== "open") break;
      await this.#pause(pauseMs);
    }
    this.#running = undefined;
    // Calls that were under way at the end may still invalidate.
    if (this.#phase === "ended") this.#giveUp();
  }

  #confirmed({ first, confirmed, settled }: Round): void {
    confirmed.resolve();
    const { settleMs } = this.#cdn;
    if (settleMs === 0 || first.size === 0) return settled.resolve();
    const send = (): void => {
      cancel();
      if (this.#later.delete(send)) void this.#owe(first, []).confirmed.promise.then(settled.resolve);
    };
    this.#later.add(send);
    const cancel = inNoCall(() => this.#clock.schedule(send, settleMs));
  }

  /** Takes from `owed` what is confirmed; returns how long to wait before the rest is sent again, if there is one. */
  async #send(owed: Map<string, Mode>): Promise<number | undefined> {
    for (const mode of ["hard", "soft"] as const)
      for (const keys of this.#callsOf([...owed].filter(([, each]) => each === mode).map(([key]) => key))) {
        try {
          await this.#call(keys, mode);
        } catch (error) {
          this.#failures += 1;
          this.#reports.failed(reported(error, this.#cdn.name));
          const { retryAfterMs } = error as { readonly retryAfterMs?: unknown };
          const ownMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.#failures - 1));
          return typeof retryAfterMs === "number" && retryAfterMs >= 0
            ? Math.min(LONGEST_RETRY_AFTER_MS, Math.max(FIRST_PAUSE_MS, retryAfterMs))
            : ownMs;
        }
        for (const key of keys) owed.delete(key);
      }
    this.#failures = 0;
    return undefined;
  }

  async #call(keys: readonly string[], mode: Mode): Promise<void> {
    if (this.#isLate) throw late(this.#cdn, CLOSING_MS);
    const limit = new AbortController();
    this.#limit = limit;
    const { timeoutMs } = this.#cdn;
    const cancel = this.#clock.schedule(() => limit.abort(late(this.#cdn, timeoutMs)), timeoutMs);
    try {
      const call = this.#cdn.purge(keys, { soft: mode === "soft", signal: limit.signal });
      // One that does not heed its signal blocks no other.
      await Promise.race([call, untilAborted(limit.signal)]);
    } finally {
      cancel();
    }
  }

  #callsOf(keys: readonly string[]): readonly (readonly string[])[] {
    const { keysPerCall, bytesPerCall } = this.#cdn;
    const calls: string[][] = [];
    let bytes = Infinity;
    for (const key of keys) {
      // With quotes and a comma.
      const added = key.length + 3;
      if (bytes + added > bytesPerCall || calls.at(-1)!.length >= keysPerCall) {
        calls.push([]);
        bytes = 0;
      }
      calls.at(-1)!.push(key);
      bytes += added;
    }
    return calls;
  }

  async #pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#endPause = resolve;
    const cancel = this.#clock.schedule(resolve, ms);
    await promise;
    cancel();
  }
}

/** A hard purge does what a soft one does. */
function merge(into: Map<string, Mode>, owed: Iterable<readonly [string, Mode]>): void {
  for (const [key, mode] of owed) if (into.get(key) !== "hard") into.set(key, mode);
}

const late = ({ name }: Cdn, timeoutMs: number): CacheError =>
  new BackendUnavailableError(`${name}: no answer to a purge within ${timeoutMs} ms`, {
    tier: name,
    operation: "purge",
  });

function reported(error: unknown, name: string): CacheError {
  if (error instanceof CacheError) return error;
  return new BackendUnavailableError(`${name}: purge failed; see cause`, {
    tier: name,
    operation: "purge",
    cause: error,
  });
}

const untilAborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });

const MOST_OWED = 10_000;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;
const LONGEST_RETRY_AFTER_MS = 300_000;
const CLOSING_MS = 3_000;
