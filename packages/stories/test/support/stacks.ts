import type { Cache, CacheOptions, Policy, Seal } from "@hotset/core";
import { memory, type MemoryOptions } from "@hotset/memory";
import { sealed } from "@hotset/seal";
import {
  createTestCache,
  flush,
  scriptedBackend,
  TestClock,
  type ScriptedBackend,
  type ScriptedBackendOptions,
} from "@hotset/testing";

/** The tiers over which a promise is tested. A promise may not depend on them. */
export type Stack = "memory" | "backend" | "memory over backend";
export const STACKS: readonly Stack[] = ["memory", "backend", "memory over backend"];
export const STACKS_WITH_BACKEND: readonly Stack[] = ["backend", "memory over backend"];
export const STACKS_WITH_MEMORY: readonly Stack[] = ["memory", "memory over backend"];

export interface OpenOptions extends Omit<Policy, "verify">, Omit<CacheOptions, "name" | "clock"> {
  /** @default 'test' */
  readonly name?: string;
  /** Pass the clock of another cache to simulate a second process. */
  readonly clock?: TestClock;
  readonly memory?: MemoryOptions;
  /** The backend of another cache, to simulate a second process over it, or options of a new backend. */
  readonly backend?: ScriptedBackend | Omit<ScriptedBackendOptions, "clock">;
  /** Put around the backend. */
  readonly seal?: Omit<Seal, "around"> | undefined;
}

export interface Opened {
  readonly cache: Cache;
  readonly clock: TestClock;
  /** The scripted backend. With a stack without a backend it is not connected to the cache. */
  readonly backend: ScriptedBackend;
  /** Keys of entries in the backend, without those of tag versions. */
  stored(): string[];
}

/** A cache over `stack`. The test controls its clock and its backend. */
export function open(stack: Stack, options: OpenOptions = {}): Opened {
  const { clock = new TestClock(), memory: memoryOptions, backend: given = {}, seal, ...rest } = options;
  const backend = "store" in given ? given : scriptedBackend({ clock, ...given });
  const cache = createTestCache({
    ...rest,
    clock,
    local: stack === "backend" ? false : memory(memoryOptions),
    backend: stack === "memory" ? false : seal === undefined ? backend : sealed(backend, seal, { clock }),
  });
  return { cache, clock, backend, stored: () => backend.store.keys().filter((key) => !key.startsWith("{~")) };
}

/** A loader that counts its runs and returns the values in order, then the last one repeatedly. */
export function counted<T>(...values: readonly [T, ...T[]]): { readonly load: () => T; readonly runs: number } {
  let runs = 0;
  return {
    load: () => {
      runs += 1;
      return values[Math.min(runs, values.length) - 1]!;
    },
    get runs() {
      return runs;
    },
  };
}

/** A loader that must not run. */
export const never = (): never => {
  throw new Error("this loader must not run");
};

/** The unhandled rejections while `body` ran. */
export async function rejectionsDuring(body: () => Promise<void>): Promise<unknown[]> {
  const reasons: unknown[] = [];
  const remember = (reason: unknown): void => void reasons.push(reason);
  process.on("unhandledRejection", remember);
  try {
    await body();
    await flush();
  } finally {
    process.off("unhandledRejection", remember);
  }
  return reasons;
}
