import type { HeldLoop } from "./inspection.ts";

/** A delay that callers notice. */
export const HELD_MS = 200;
const RESOLUTION_MS = 50;
const NS_PER_MS = 1e6;

interface Histogram {
  readonly max: number;
  enable(): unknown;
  disable(): unknown;
  reset(): void;
}

/** How long the event loop of this process was held up, by a timer of the runtime. Absent where there is none. */
export class LoopDelay {
  readonly #histogram: Histogram;

  static begin(): LoopDelay | undefined {
    const hooks = typeof process === "undefined" ? undefined : process.getBuiltinModule?.("node:perf_hooks");
    try {
      return hooks && new LoopDelay(hooks.monitorEventLoopDelay({ resolution: RESOLUTION_MS }));
    } catch {
      // A runtime that has the module without the function.
      return undefined;
    }
  }

  constructor(histogram: Histogram) {
    this.#histogram = histogram;
    histogram.enable();
  }

  /** The longest delay since the last call, in milliseconds. */
  take(): number {
    const { max } = this.#histogram;
    this.#histogram.reset();
    return Math.max(0, max / NS_PER_MS - RESOLUTION_MS);
  }

  end(): void {
    this.#histogram.disable();
  }
}

/** @param steps the longest delay in each. */
export function heldIn(steps: readonly { readonly heldMs: number }[]): { readonly heldLoop?: HeldLoop } {
  const seen = steps.filter(({ heldMs }) => heldMs >= HELD_MS);
  if (seen.length === 0) return {};
  const longestMs = Math.round(Math.max(...seen.map(({ heldMs }) => heldMs)));
  return { heldLoop: { seen: seen.length, looks: steps.length, longestMs } };
}
