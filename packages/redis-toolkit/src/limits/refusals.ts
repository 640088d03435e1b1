import { waitOf, type Verdict } from "./verdict.ts";

interface Refusal {
  readonly verdict: Verdict;
  readonly seenAt: number;
  readonly endsAt: number;
  /** Calls that cost less may fit. */
  readonly cost: number;
  /** Index of this refusal in the list of keys. */
  index: number;
}

/**
 * Refusals of keys, kept for a while: until then the same call is refused without asking Redis.
 *
 * Beyond `maxKeys` any one is forgotten, and not the oldest: keys that call in turn, somewhat more than are kept, would
 * each be forgotten just before they call again.
 */
export class Refusals {
  readonly #longestMs: number;
  readonly #maxKeys: number;
  readonly #refusals = new Map<string, Refusal>();
  readonly #keys: string[] = [];
  readonly #random: () => number;

  /** @param options `random`: in [0, 1) */
  constructor(options: { readonly longestMs: number; readonly maxKeys: number; readonly random: () => number }) {
    this.#longestMs = options.longestMs;
    this.#maxKeys = options.maxKeys;
    this.#random = options.random;
  }

  keep(key: string, cost: number, verdict: Verdict, now: number): void {
    // A limit that counts refused calls is asked again once the block has ended.
    const forMs = Math.min(verdict.blockedMs > 0 ? verdict.blockedMs : waitOf(verdict), this.#longestMs);
    if (forMs <= 0) return;
    this.forget(key);
    if (this.#keys.length >= this.#maxKeys) this.forget(this.#keys[Math.floor(this.#random() * this.#keys.length)]!);
    const refusedCost = verdict.blockedMs > 0 ? 0 : cost;
    const index = this.#keys.push(key) - 1;
    this.#refusals.set(key, { verdict, seenAt: now, endsAt: now + forMs, cost: refusedCost, index });
  }

  /** The verdict that was kept, moved on to `now`. */
  find(key: string, cost: number, now: number): Verdict | undefined {
    const refusal = this.#refusals.get(key);
    if (refusal === undefined) return undefined;
    if (now >= refusal.endsAt) {
      this.forget(key);
      return undefined;
    }
    return cost < refusal.cost ? undefined : later(refusal.verdict, now - refusal.seenAt);
  }

  forget(key: string): void {
    const refusal = this.#refusals.get(key);
    if (refusal === undefined) return;
    this.#refusals.delete(key);
    // The last one takes its place in the list.
    const last = this.#keys.pop()!;
    if (last === key) return;
    this.#keys[refusal.index] = last;
    this.#refusals.get(last)!.index = refusal.index;
  }
}

function later(verdict: Verdict, passedMs: number): Verdict {
  const left = (ms: number): number => Math.max(0, Math.ceil(ms - passedMs));
  return {
    ...verdict,
    blockedMs: left(verdict.blockedMs),
    at: Math.floor(verdict.at + passedMs),
    states: verdict.states.map(({ room, waitMs, resetMs, over }) => ({
      room,
      waitMs: left(waitMs),
      resetMs: left(resetMs),
      over,
    })),
  };
}
