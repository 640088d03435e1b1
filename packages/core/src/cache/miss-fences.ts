import { systemClock, type Clock } from "../contracts/clock.ts";
import type { WriteResult } from "../engine/results.ts";
import type { Fence, SetOptions } from "../entry/policy.ts";
import { within } from "../primitives/within.ts";
import type { Namespace } from "./namespace.ts";

/** A miss waits no longer for its fence, which then holds from when it came. */
const PATIENCE_MS = 200;
/** A value that takes longer is stored as of its `set`. */
const LONGEST_MS = 30_000;
const MOST = 10_000;

/** A fence that no `set` has used yet. */
interface Miss {
  readonly at: number;
  /** Until it is there. */
  taking: Promise<void> | undefined;
  fence: Fence | undefined;
  /** That began under this fence. */
  callers: number;
}

/** Callers of a fence that was used by one of them. */
interface Late {
  left: number;
  readonly untilAt: number;
}

/**
 * Fences for frameworks that call `get`, compute, and then `set`, by the key alone. Which `get` a `set` follows is not
 * known: it counts as computed since the oldest miss that has had no `set`, for 30 seconds, of 10,000 keys. Of several
 * that compute at once the first is stored, and the others no later than twice its time.
 */
export class MissFences {
  readonly #namespace: Pick<Namespace, "fence" | "set" | "setMany">;
  readonly #clock: Clock;
  readonly #open = new Map<string, Miss>();
  readonly #late = new Map<string, Late>();

  constructor(namespace: Pick<Namespace, "fence" | "set" | "setMany">, clock: Clock = systemClock) {
    this.#namespace = namespace;
    this.#clock = clock;
  }

  /** Where `get` has found nothing, before its caller computes. */
  async begin(key: string): Promise<void> {
    const now = this.#clock.now();
    this.#dropOld(now);
    let miss = this.#open.get(key);
    if (miss === undefined) {
      if (this.#open.size >= MOST) return;
      miss = { at: now, taking: undefined, fence: undefined, callers: 0 };
      this.#open.set(key, miss);
      miss.taking = this.#take(key, miss);
    }
    miss.callers += 1;
    if (miss.taking !== undefined) await within(this.#clock, PATIENCE_MS, miss.taking, () => undefined);
  }

  /** As `set` of the namespace; `refused` for what was computed before a change. */
  async set(key: string, value: {} | null, options?: SetOptions): Promise<WriteResult> {
    const miss = this.#use(key);
    if (miss === "late") return { status: "refused" };
    // At once if it can be: frameworks call `get` without waiting for `set`.
    if (miss?.taking !== undefined) await miss.taking;
    return this.#namespace.set(key, value, miss ? { ...options, since: miss.fence } : options);
  }

  /** In place of {@link set}, where the value is not to be stored. */
  end(key: string): void {
    this.#use(key);
  }

  /** As {@link set}, with the same options for all. */
  async setMany(entries: readonly (readonly [key: string, value: {} | null])[], options?: SetOptions): Promise<void> {
    const begun = entries.filter(([key]) => this.#open.has(key) || this.#late.has(key));
    const others = entries.filter((entry) => !begun.includes(entry));
    const alone = begun.map(([key, value]) => this.set(key, value, options));
    await Promise.all([...alone, others.length > 0 && this.#namespace.setMany(others, options)]);
  }

  #use(key: string): Miss | "late" | undefined {
    const now = this.#clock.now();
    this.#dropOld(now);
    const late = this.#late.get(key);
    if (late !== undefined && now <= late.untilAt) {
      late.left -= 1;
      if (late.left === 0) this.#late.delete(key);
      return "late";
    }
    const miss = this.#open.get(key);
    this.#open.delete(key);
    this.#late.delete(key);
    if (miss !== undefined && miss.callers > 1)
      this.#late.set(key, { left: miss.callers - 1, untilAt: now + (now - miss.at) });
    return miss;
  }

  async #take(key: string, miss: Miss): Promise<void> {
    // A layout without room for tags has none: then the value is stored as of its `set`.
    miss.fence = await this.#namespace.fence(key).catch(() => undefined);
    miss.taking = undefined;
  }

  #dropOld(now: number): void {
    for (const [key, { at }] of this.#open) {
      if (now - at <= LONGEST_MS) break;
      this.#open.delete(key);
    }
    for (const [key, { untilAt }] of this.#late) {
      if (now <= untilAt && this.#late.size <= MOST) break;
      this.#late.delete(key);
    }
  }
}
