/** Run by close.test.ts in a separate process, which only a timer of the cache could keep alive. */
import { createCache, type Cache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { answerCalls } from "@hotset/test-servers";
import { scriptedBackend, type ScriptedBackend } from "@hotset/testing";

const systemClock = { now: () => performance.now(), schedule: () => () => undefined };

function build(): { readonly cache: Cache; readonly backend: ScriptedBackend } {
  // The backend's own delays are not used here. The cache runs on the system clock.
  const backend = scriptedBackend({ clock: systemClock });
  const cache = createCache({ name: "idle", logger: { error() {}, warn() {}, info() {} } })
    .tier(memory())
    .tier(backend)
    .defaults({
      ttl: "1h",
      staleWhileRevalidate: "1h",
      staleIfError: "1h",
      softTimeout: "1h",
      hardTimeout: "2h",
      loadTimeout: "3h",
    })
    .build();
  return { cache, backend };
}

const hung = (): Promise<never> => new Promise(() => {});

const handlers = {
  /** Entries that expire in an hour, and the cleanup of entries that expire now. */
  idle: async (): Promise<string> => {
    const { cache } = build();
    await cache.set("k", 1);
    await cache.set("short", 1, { ttl: 5, staleIfError: 0, staleWhileRevalidate: 0 });
    await cache.getOrSet("j", () => 2);
    return "idle since now";
  },
  /** Loads in the background that never end, and a backend that never answers, after its deadline. */
  busy: async (): Promise<string> => {
    const { cache, backend } = build();
    await cache.set("stale", 1, { ttl: 1 });
    await new Promise((resolve) => setTimeout(resolve, 5));
    await cache.getOrSet("stale", hung);
    backend.script("*", { before: { pass: hung } as never, times: 1_000 });
    void cache.get("i");
    void cache.set("h", 1);
    return "busy since now";
  },
  /** An open circuit breaker, and invalidations that wait for their replay. */
  failing: async (): Promise<string> => {
    const { cache, backend } = build();
    backend.down();
    for (let i = 0; i < 10; i += 1) await cache.delete(`k${i}`);
    await cache.invalidateTags("t");
    if (cache.stats().pending === 0) throw new Error("nothing is pending");
    return "failing since now";
  },
  closed: async (): Promise<string> => {
    const { cache } = build();
    void cache.getOrSet("k", hung).catch(() => undefined);
    await cache.close({ timeout: 10 });
    return "closed since now";
  },
};

export type IdleProcess = typeof handlers;

answerCalls(handlers);
