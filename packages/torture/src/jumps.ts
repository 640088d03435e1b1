import type { Fault, History, Instant } from "./history.ts";
import { LOOK_MS, overlap, type Span } from "./reach.ts";

/** The duration of a lease without renewal, also after the death of its holder: design of core. */
export const LEASE_MS = 2_000;
/** A lease with more time left than this is taken over: none is given for longer. */
const MAX_LEASE_MS = 60_000;
/** An entry may have so much more freshness left than its `ttl`: clocks are corrected by less all the time. */
const TOLERANCE_MS = 1_000;

/** A time in which the clock of the server was ahead by `aheadMs`, or may have been for a process. */
interface Setting extends Span {
  readonly aheadMs: number;
}

/** How far the clock has been set back since something was written, and until when it is known to have been so. */
interface Move extends Span {
  readonly backMs: number;
}

/**
 * The effect of jumps of the server's clock on lives. Redis keeps the end of each key as an instant: a key that was
 * written before a jump ahead ends early by so much, before one back late.
 */
export class Jumps {
  readonly #settings: readonly Setting[];
  readonly #ttlMs: number;

  constructor({ faults, terms: { clockAgeMs = 0, ttlMs } }: Pick<History, "faults" | "terms">) {
    const jumps = faults.filter(isJump).sort((a, b) => a.from - b.from);
    this.#ttlMs = ttlMs;
    let aheadMs = 0;
    // Where processes compute with a time that they asked for a while ago, a setting lasts for them so much longer.
    const late = clockAgeMs === 0 ? 0 : clockAgeMs + LOOK_MS;
    this.#settings = [{ from: -Infinity, jumpMs: 0 }, ...jumps].map(({ from, jumpMs }, i) => ({
      from,
      to: (jumps[i]?.to ?? Infinity) + late,
      aheadMs: (aheadMs += jumpMs),
    }));
  }

  /**
   * How much longer than its `ttl`, or than its whole life, a value that was written within a span may be served until
   * an instant. None is fresh while it has more freshness left than it ever had.
   */
  longerMs(written: Span, until: Instant, what: "freshness" | "life"): number {
    const possible = this.#moves(written, until).filter(
      ({ backMs, to }) => what === "life" || backMs <= to - written.from + TOLERANCE_MS,
    );
    return Math.max(0, ...possible.map(({ backMs }) => backMs));
  }

  /** Whether a value that was written within a span may be over before its time, or have no known age. */
  mayEndEarly(written: Span, until: Instant): boolean {
    return this.#moves(written, until).some(({ backMs }) => backMs < 0 || backMs > TOLERANCE_MS);
  }

  /** Whether a lease that was granted at the beginning of a span may have been lost within it. */
  mayEndLease({ from, to }: Span): boolean {
    return this.#moves({ from, to: from }, to).some(
      ({ backMs }) => backMs < 0 || backMs >= MAX_LEASE_MS - LEASE_MS - TOLERANCE_MS,
    );
  }

  /** Whether the lease of a process that died at an instant may keep others waiting within a span. */
  mayHold(diedAt: Instant, span: Span): boolean {
    const endsAt = diedAt + LEASE_MS;
    return this.#moves({ from: endsAt - 2 * LEASE_MS, to: diedAt }, span.to).some(({ backMs, from, to }) => {
      const within = { from: Math.max(from, span.from), to: Math.min(to, span.to) };
      return within.from <= within.to && within.from <= endsAt + backMs && endsAt + backMs - within.to <= MAX_LEASE_MS;
    });
  }

  /**
   * Whether an entry that `markStale` ended within a span may be fresh again at an instant: it became stale at a time
   * of the server, which has not come yet.
   */
  mayBeFreshAgain(marked: Span, at: Instant): boolean {
    return this.#moves(marked, at).some(({ backMs, from, to }) => {
      // The least time left at which it was read, and for how long a copy of it lives.
      const leftMs = backMs - (to - marked.from);
      if (backMs <= 0 || leftMs > this.#ttlMs + TOLERANCE_MS) return false;
      return from <= marked.to + backMs && at <= marked.to + backMs + LOOK_MS;
    });
  }

  #moves(written: Span, until: Instant): readonly Move[] {
    const at = this.#settings.filter((setting) => overlap(setting, written));
    const since = this.#settings.filter((setting) => overlap(setting, { from: written.from, to: until }));
    return at.flatMap((then) =>
      since.map(({ from, to, aheadMs }) => ({ from, to: Math.min(to, until), backMs: then.aheadMs - aheadMs })),
    );
  }
}

/** Whether a fault is a jump of a clock, which breaks no connection and stops no process. */
export const isJump = (fault: Fault): fault is Fault & { readonly jumpMs: number } => fault.jumpMs !== undefined;
