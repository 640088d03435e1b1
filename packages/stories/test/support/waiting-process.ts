/** Run by waits-hold.test.ts in a separate process, which nothing but a wait of the cache could keep alive. */
import { createCache, type Backend, type Cache } from "@hotset/core";
import { memory } from "@hotset/memory";
import { scriptedBackend } from "@hotset/testing";

const [how = "", file = "", sqliteModule = ""] = process.argv.slice(2);

const build = (backend?: Backend): Cache => {
  const empty = createCache({ name: "waiting", logger: { error() {}, warn() {}, info() {} } }).tier(memory());
  return (backend === undefined ? empty : empty.tier(backend).defaults({ localTtl: "1m" })).build();
};
const hung = (): Promise<never> => new Promise(() => {});
const unanswering = (): Backend => {
  const backend = scriptedBackend({ clock: { now: () => performance.now(), schedule: () => () => undefined } });
  backend.script("*", { before: { pass: hung } as never, times: 1_000 });
  return backend;
};

const sqlite = async (): Promise<Backend> => {
  const { sqliteBackend } = (await import(sqliteModule)) as { sqliteBackend(options: { file: string }): Backend };
  const backend = sqliteBackend({ file });
  // Longer than a busy machine may keep a process from renewing it: the other one would rightly load as well.
  return { ...backend, leases: { ...backend.leases!, leaseMs: 60_000 } };
};

const ways: Readonly<Record<string, () => Promise<unknown>>> = {
  /** Loads for a while, and says when it has begun. */
  load: async () =>
    build(await sqlite()).getOrSet("k", async () => {
      process.stdout.write("loading ");
      const { promise, resolve } = Promise.withResolvers<string>();
      setTimeout(() => resolve("loaded once"), 1_500);
      return promise;
    }),
  "getOrSet while another process loads": async () => build(await sqlite()).getOrSet("k", () => "loaded twice"),
  "getOrSet of a loader that hangs": () =>
    build()
      .getOrSet("k", hung, { hardTimeout: 200 })
      .catch((error: Error) => error.name),
  "get of a backend that hangs": () => build(unanswering()).get("k"),
  "set of a backend that hangs": async () => (await build(unanswering()).set("k", 1)).status,
  "drain of a load that hangs": async () => {
    const cache = build();
    await cache.set("k", 1, { ttl: 1, staleWhileRevalidate: "1h" });
    await new Promise((resolve) => setTimeout(resolve, 5));
    await cache.getOrSet("k", hung, { loadTimeout: 200, staleWhileRevalidate: "1h" });
    await cache.drain();
    return "drained";
  },
  "close of a load that hangs": async () => {
    const cache = build();
    await cache.set("k", 1, { ttl: 1, staleWhileRevalidate: "1h" });
    await new Promise((resolve) => setTimeout(resolve, 5));
    await cache.getOrSet("k", hung, { staleWhileRevalidate: "1h" });
    await cache.close({ timeout: 200 });
    return "closed";
  },
};

process.stdout.write(`${String(await ways[how]!())}\n`);
