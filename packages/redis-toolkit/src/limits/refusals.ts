import { waitOf, type Verdict } from "./verdict.ts";

interface Refusal {
  readonly verdict: Verdict;
  readonly seenAt: number;
  readonly endsAt: number;
  /** Calls that cost less may fit. */
  readonly cost: number;
}

/** Refusals of keys, kept for a while: until then the same call is refused without asking Redis. */
export class Refusals {
  readonly #longestMs: number;
  readonly #maxKeys: number;
  readonly #refusals = new Map<string, Refusal>();

  constructor(options: { readonly longestMs: number; readonly maxKeys: number }) {
    this.#longestMs = options.longestMs;
    this.#maxKeys = options.maxKeys;
  }

  keep(key: string, cost: number, verdict: Verdict, now: number): void {
    // A limit that counts refused calls is asked again once the block has ended.
    const forMs = Math.min(verdict.blockedMs > 0 ? verdict.blockedMs : waitOf(verdict), this.#longestMs);
    if (forMs <= 0) return;
    this.#refusals.delete(key);
    if (this.#refusals.size >= this.#maxKeys) this.#refusals.delete(this.#refusals.keys().next().value!);
    const refusedCost = verdict.blockedMs > 0 ? 0 : cost;
    this.#refusals.set(key, { verdict, seenAt: now, endsAt: now + forMs, cost: refusedCost });
  }

  /** The verdict that was kept, moved on to `now`. */
  find(key: string, cost: number, now: number): Verdict | undefined {
    const refusal = this.#refusals.get(key);
    if (refusal === undefined) return undefined;
    if (now >= refusal.endsAt) {
      this.#refusals.delete(key);
      return undefined;
    }
    return cost < refusal.cost ? undefined : later(refusal.verdict, now - refusal.seenAt);
  }

  forget(key: string): void {
    this.#refusals.delete(key);
  }
}

function later(verdict: Verdict, passedMs: number): Verdict {
  const left = (ms: number): number => Math.max(0, Math.ceil(ms - passedMs));
  return {
    ...verdict,
    blockedMs: left(verdict.blockedMs),
    at: Math.floor(verdict.at + passedMs),
    states: verdict.states.map(({ room, waitMs, resetMs }) => ({ room, waitMs: left(waitMs), resetMs: left(resetMs) })),
  };
}
