import { AsyncLocalStorage } from "node:async_hooks";
import type { Random } from "./random.ts";

/** A framework over the cache of one process, as programs use it. */
export interface Guest {
  /** One request: reads, and after a miss computes and stores. Resolves when that is done. */
  request(compute: () => Promise<string>): Promise<unknown>;
  /** Stores without a read. */
  write?(value: string): Promise<unknown>;
  /** The value that is there; `null` or `undefined` where nothing is. */
  read(): Promise<unknown>;
  /** Ends it, in each process. */
  change(): Promise<unknown>;
}

/** Two processes over one backend. */
export interface Guests {
  readonly a: Guest;
  readonly b: Guest;
  /** Others over the caches of both, which only look. */
  readonly probes: readonly Pick<Guest, "read">[];
  /** Changes by one have reached the others. */
  settled(): Promise<void>;
}

/** A request has nothing to do with that before it. */
const apart = AsyncLocalStorage.snapshot();

/** How many computations of `requests` there are after 20 that failed in one process and a change by `by`. */
export async function computationsAfterFailures({ a, settled, ...guests }: Guests, by: "a" | "b"): Promise<number> {
  const failed = (): Promise<never> => Promise.reject(new Error("down"));
  for (let i = 0; i < 20; i += 1) await apart(() => a.request(failed)).catch(() => undefined);
  await settled();
  await { a, ...guests }[by].change();
  await settled();
  let count = 0;
  const compute = async (): Promise<string> => `made ${(count += 1)}`;
  for (let i = 0; i < 6; i += 1) {
    await apart(() => a.request(compute));
    await settled();
  }
  return count;
}

/**
 * Requests of two processes that end in any order, writes of current values, and changes of the source. Returns what
 * was found that was older than the last change, and how often a value was found.
 */
export async function lateValues(
  { a, b, probes, settled }: Guests,
  random: Random,
): Promise<{ old: string[]; found: number }> {
  const result = { old: [] as string[], found: 0 };
  const pending: (() => Promise<unknown>)[] = [];
  let version = 1;
  const begin = (guest: Guest): void => {
    const leave = Promise.withResolvers<void>();
    const compute = async (): Promise<string> => {
      const value = `v${version}`;
      await leave.promise;
      return value;
    };
    const done = apart(() => guest.request(compute));
    pending.push(() => {
      leave.resolve();
      return done;
    });
  };
  const look = async (): Promise<void> => {
    await settled();
    for (const probe of probes) {
      const value = await apart(() => probe.read());
      if (value === undefined || value === null) continue;
      result.found += 1;
      if (value !== `v${version}`) result.old.push(`${JSON.stringify(value)} at v${version}`);
    }
  };
  for (let step = 0; step < 40; step += 1) {
    const guest = random.one([a, a, b]);
    const what = random.one(["begin", "begin", "end", "end", "change", "write"]);
    if (what === "begin" && pending.length < 5) begin(guest);
    else if (what === "end" && pending.length > 0) await pending.splice(random.below(pending.length), 1)[0]!();
    else if (what === "write") await apart(() => guest.write?.(`v${version}`));
    else if (what === "change") {
      version += 1;
      await apart(() => guest.change());
    }
    await look();
  }
  for (const end of pending) await end();
  await look();
  return result;
}
