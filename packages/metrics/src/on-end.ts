import diagnostics from "node:diagnostics_channel";

/**
 * Calls `ended` with each context of a tracing channel, and how long it took, in seconds.
 *
 * @returns a function that ends it
 */
export function onEnd<C extends object>(channel: string, ended: (context: C, seconds: number) => void): () => void {
  const startedAt = new WeakMap<C, number>();
  const tracing = diagnostics.tracingChannel<string, C>(channel);
  const handlers = {
    start: (context: C) => void startedAt.set(context, performance.now()),
    end: () => undefined,
    asyncStart: () => undefined,
    asyncEnd: (context: C) => {
      const since = startedAt.get(context);
      if (since !== undefined) ended(context, (performance.now() - since) / 1_000);
    },
    error: () => undefined,
  };
  tracing.subscribe(handlers);
  return () => tracing.unsubscribe(handlers);
}
