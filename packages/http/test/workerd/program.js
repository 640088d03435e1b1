import { createCache } from "@hotset/core";
import { httpCache } from "@hotset/http";
import { cachedHandler } from "@hotset/http/fetch";
import { memory } from "@hotset/memory";
import { waitUntil } from "cloudflare:workers";

const open = (options) =>
  createCache({ name: "shop", ...options })
    .tier(memory({ maxBytes: "16mb" }))
    .build();
const cache = open();
const ofAnySize = createCache({ name: "any" }).tier(memory()).build();
const narrow = open({ maxLoads: 1 });
const patient = open({ waitUntil });
const pages = httpCache(cache.namespace("pages"), { base: "https://shop.example" });
/** Of loads that a client has left: the next one waits that long. */
const left = httpCache(cache.namespace("left"), { base: "https://shop.example", loadTimeout: "1s" });
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const runs = {};
const run = (of) => (runs[of] = (runs[of] ?? 0) + 1);
const kept = (more = "") => ({ headers: { "cache-control": `max-age=60${more}` } });

/** The user of a request, where the worker has modules of Node. */
const hooks = globalThis.process?.getBuiltinModule?.("node:async_hooks");
const users = hooks && new hooks.AsyncLocalStorage();

/** Its first body stops before its end. */
function parts(path) {
  const isFirst = runs[path] === 1;
  const { readable, writable } = new TransformStream();
  const write = async () => {
    const writer = writable.getWriter();
    for (const part of ["one ", "two ", "three"]) {
      await writer.write(new TextEncoder().encode(part));
      await sleep(isFirst && path === "/broken" ? 60_000 : 20);
    }
    await writer.close();
  };
  write().catch(() => undefined);
  return new Response(readable, kept());
}

const HANDLERS = {
  "/page": async () => {
    await sleep(30);
    return new Response("page", kept());
  },
  "/user": () => new Response(users?.getStore() ?? "nobody", kept()),
  "/at-once": () => new Response("at once", kept()),
  "/private": async () => {
    await sleep(30);
    return new Response("private", { headers: { "cache-control": "no-store" } });
  },
  "/varied": async () => {
    await sleep(30);
    return new Response("varied", { headers: { "cache-control": "max-age=60", vary: "accept-language" } });
  },
  "/stale": async (path) => {
    await sleep(100);
    return new Response(`stale ${runs[path]}`, {
      headers: { "cache-control": "max-age=1, stale-while-revalidate=60" },
    });
  },
  "/tagged": (path) =>
    new Response(`tagged ${runs[path]}`, { headers: { "cache-control": "max-age=60", "cache-tag": "shop" } }),
  "/body": parts,
  "/broken": parts,
};

const render = (request) => {
  const { pathname } = new URL(request.url);
  run(pathname);
  return HANDLERS[pathname](pathname);
};
const handler = cachedHandler(pages, render);
const handlerThatIsLeft = cachedHandler(left, render);

const load = (of, ms, options, from = cache) =>
  from.getOrSet(
    of,
    async () => {
      const time = run(of);
      await sleep(ms);
      return `${of} ${time}`;
    },
    { ttl: "1m", ...options },
  );

const CALLS = {
  "/joined": () => load("joined", 30),
  "/turns": () => narrow.getOrSet(`turn ${run("turns")}`, () => sleep(1).then(() => "turn"), { ttl: "1m" }),
  "/batch": async () => {
    const find = (ids) => sleep(30).then(() => ids.map((id) => [id, `${id} ${run(id)}`]));
    const found = await cache.getOrSetMany(["a", "b"], (id) => id, find, { ttl: "1m" });
    return [...found.values()].join();
  },
  // Its refresh ends with the request that began it: nothing waits for it.
  "/refreshed": () => load("refreshed", 50, { ttl: 50, staleWhileRevalidate: 1_500, loadTimeout: "1s" }),
  "/waited-for": () => load("waited for", 50, { ttl: 50, staleWhileRevalidate: "1m" }, patient),
  "/hangs": () =>
    cache
      .getOrSet("hangs", () => new Promise(() => undefined), { ttl: "1m", loadTimeout: 100 })
      .catch(({ code }) => code),
  "/set": async () => {
    await ofAnySize.set("set", "set", { ttl: "1m" });
    return ofAnySize.get("set");
  },
  "/ended": async () => {
    const value = () => cache.getOrSet("ended", () => run("ended"), { ttl: "1m", tags: ["users"] });
    const before = [await value(), await value()];
    await cache.invalidateTags("users");
    await pages.purgeTags(["shop"]);
    return [...before, await value()].join();
  },
  "/inherits": () => cache.getOrSet("inherits", () => 1, { ttl: "1m", inherit: true }).catch(({ message }) => message),
  "/runs": () => JSON.stringify(runs),
};

export const worker = {
  async fetch(request, env, ctx) {
    const { pathname } = new URL(request.url);
    const call = CALLS[pathname];
    if (call !== undefined) return new Response(await call());
    const answer = () => (pathname === "/broken" ? handlerThatIsLeft : handler)(request, env, ctx);
    return users === undefined ? answer() : users.run("alice", answer);
  },
};
