import type { AsyncResource as Resource } from "node:async_hooks";
import type { Clock } from "../contracts/clock.ts";
import { builtin, IN_WORKER } from "./platform.ts";

type Callback<A extends readonly unknown[]> = (...given: A) => void;

/** Used where the runtime has no `AsyncResource`: there is no context to come back to. */
class NoResource {
  runInAsyncScope(body: (...given: unknown[]) => unknown, self: unknown, ...given: unknown[]): unknown {
    return body.apply(self, given);
  }

  emitDestroy(): void {}
}

const modules = builtin("node:async_hooks");
const hooks = IN_WORKER ? undefined : modules;
const AsyncResource = hooks?.AsyncResource ?? (NoResource as unknown as typeof Resource);
const noCall = new AsyncResource("hotset", { requireManualDestroy: true });
// After which it runs code as before: test runners report one that is not destroyed as an open handle. Not chained: the
// method returns nothing in Bun and workerd.
noCall.emitDestroy();
/** In workerd, where the scope of a resource returns nothing. */
const outside = IN_WORKER ? modules?.AsyncLocalStorage.snapshot?.() : undefined;

/**
 * Runs `body` in the async context of no call: that of the import. For what calls share, such as a connection, a
 * subscription or a timer that serves many. Otherwise it would run in the context of the call that happens to begin it:
 * its events would be attributed to that request, which it would keep in memory for as long as it lasts.
 */
export function inNoCall<T>(body: () => T): T {
  return outside === undefined ? noCall.runInAsyncScope(body) : outside(body);
}

/**
 * Keeps the process alive until the function that it returns is called, where the clock can. All calls share what does
 * so, and it outlives them.
 */
export const holdProcess = (clock: Clock): (() => void) | undefined =>
  clock.hold && noCall.runInAsyncScope(clock.hold, clock);

/** Keeps the process alive until `work` has settled, where the clock can: a caller waits for it. */
export const keepAlive = <T>(clock: Clock, work: Promise<T>): Promise<T> => work.finally(holdProcess(clock));

/** The async context of now. It costs a tenth of a promise. */
export const contextOfNow = (): Resource => new AsyncResource("hotset.call");

/**
 * `callback` for a later time, in the async context of now. It takes some 300 bytes and half a microsecond more than a
 * closure does: for callers that wait, not for each hit.
 */
export function inThisContext<A extends readonly unknown[]>(callback: Callback<A>): Callback<A> {
  if (IN_WORKER) return inThisRequest(callback);
  const context = new AsyncResource("hotset.call");
  return (...given) => context.runInAsyncScope(callback, undefined, ...given);
}

/** `callback` in the request that made it, whichever calls it: its promises are of that request. */
function inThisRequest<A extends readonly unknown[]>(callback: Callback<A>): Callback<A> {
  const listen = (): ((given: A) => void) => {
    const { promise, resolve } = Promise.withResolvers<A>();
    void promise.then((given) => ((next = listen()), callback(...given)));
    return resolve;
  };
  let next = listen();
  return (...given) => next(given);
}

/** Keeps a request of workerd alive while it waits: its timer calls `look` each second. */
export function keepRequest(clock: Clock, look: () => void): () => void {
  const arm = (): (() => void) => clock.schedule(() => ((cancel = arm()), look()), 1_000);
  let cancel = arm();
  return () => cancel();
}
