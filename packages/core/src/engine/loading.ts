import { ReentrantLoadError } from "../contracts/errors.ts";
import { inNoCall } from "../primitives/async-context.ts";
import { builtin } from "../primitives/platform.ts";
import type { UsedValues } from "./used-values.ts";

const hooks = builtin("node:async_hooks");
/** The load that the current code runs in. Without async hooks no load knows of those around it. */
const loading = hooks && new hooks.AsyncLocalStorage<Loading>();
/** How many loads collect what they use: a hit asks for its context only while there is one. */
let collecting = 0;

/** A load that is running, and the loads around it. */
export class Loading {
  declare readonly owner: object;
  /** The local key of the load, or the keys of a batch. */
  declare readonly keys: string | ReadonlySet<string>;
  /** The load around this one. Once that has ended, the one around it takes its place: see {@link outerOf}. */
  declare outer: Loading | undefined;
  /** A connection pool that a loader created, say, keeps its async context: the load itself has ended by then. */
  isOver = false;
  /** Collects the cached values that it gets meanwhile. */
  declare readonly used: UsedValues | undefined;

  /** @param keys one local key, or those of a batch. */
  constructor(owner: object, keys: string | ReadonlySet<string>, used?: UsedValues) {
    this.owner = owner;
    this.keys = keys;
    this.outer = innermost();
    this.used = used;
    // Loads that began one another would otherwise keep all before them.
    for (let each = this.outer; each !== undefined;) each = outerOf(each);
    if (used !== undefined) collecting += 1;
  }

  /** Runs `body`, and everything it calls, as this load. To be ended. */
  run<T>(body: () => T): T {
    return loading === undefined ? body() : loading.run(this, body);
  }

  end(): void {
    if (this.isOver) return;
    this.isOver = true;
    if (this.used !== undefined) collecting -= 1;
  }
}

/** Where the load that makes a call collects what it gets. */
export const usedByCaller = (): UsedValues | undefined => (collecting === 0 ? undefined : innermost()?.used);

/** Whether the caller runs inside the load of this key, or of any key: waiting for that load would never end. */
export function isLoading(owner: object, localKey?: string): boolean {
  for (let each = innermost(); each !== undefined; each = outerOf(each))
    if (
      each.owner === owner &&
      (localKey === undefined || each.keys === localKey || (typeof each.keys !== "string" && each.keys.has(localKey)))
    )
      return true;
  return false;
}

/**
 * Runs `body` in the async context of no call, and still as the load that runs: its own key is refused to it, and values
 * that it uses are collected. For a load whose value must not depend on the caller that happens to begin it.
 */
export function inLoadOfNoCall<T>(body: () => T): T {
  const running = innermost();
  return inNoCall(() => (running === undefined ? body() : running.run(body)));
}

/** The innermost load around the caller that is not over. */
function innermost(): Loading | undefined {
  const around = loading?.getStore();
  return around?.isOver === true ? skipEnded(around) : around;
}

/** The next load around this one that is not over. */
const outerOf = (each: Loading): Loading | undefined => (each.outer = skipEnded(each.outer));

function skipEnded(each: Loading | undefined): Loading | undefined {
  let running = each;
  while (running?.isOver === true) running = running.outer;
  return running;
}

export const reentrant = (key: string): ReentrantLoadError =>
  new ReentrantLoadError(
    `the loader of ${JSON.stringify(key.slice(0, 80))} asked for its own key; load under another key, or call the source`,
    { operation: "load" },
  );
