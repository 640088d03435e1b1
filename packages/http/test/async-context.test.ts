import { AsyncLocalStorage } from "node:async_hooks";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { createCache } from "@hotset/core";
import { httpCache, type HttpCache, type HttpCacheOptions } from "@hotset/http";
import { cachedFetch, cachedHandler, honoCache } from "@hotset/http/fetch";
import { cachedListener, expressCache, fastifyCache } from "@hotset/http/node";
import { httpInterceptor } from "@hotset/http/undici";
import { memory } from "@hotset/memory";
import { flush, TestClock } from "@hotset/testing";
import express from "express";
import express4 from "express4";
import fastify from "fastify";
import { Hono } from "hono";
import { Agent, fetch as undiciFetch } from "undici";
import { describe, expect, it, onTestFinished } from "vitest";

/** The user of a request, kept as middleware in front of the cache keeps it. */
const users = new AsyncLocalStorage<string>();
const user = (): string => users.getStore() ?? "nobody";
const ids = new AsyncLocalStorage<string>();

/** An answer: its Cache-Control, and its body, made as it is read. */
interface Page {
  readonly control: string;
  readonly body: () => string;
}
type Ask = (path: string, as?: string) => Promise<string>;
/** An application that greets its user, behind a cache that is behind its login. */
type Mount = (pages: HttpCache, page: (path: string) => Page) => Promise<Ask> | Ask;

async function listen(listener: RequestListener): Promise<Ask> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => (server.closeAllConnections(), void server.close()));
  const { port } = server.address() as AddressInfo;
  return async (path, as) => {
    const headers = { "user-agent": "x", ...(as && { "x-user": as }) };
    return (await fetch(`http://127.0.0.1:${port}${path}`, { headers })).text();
  };
}

/** The login in front. */
const asUser = <T>(name: string | undefined, run: () => T): T => (name === undefined ? run() : users.run(name, run));

const listenerOf =
  (page: (path: string) => Page): RequestListener =>
  ({ url }, response) => {
    const { control, body } = page(url!);
    response.setHeader("cache-control", control);
    response.write(body());
    setImmediate(() => response.end(` ${body()}`));
  };

/** A body that the handler makes while it is read, in two parts. */
function responseOf({ control, body }: Page): Response {
  let parts = 0;
  const stream = new ReadableStream<Uint8Array>(
    {
      pull: (controller) => {
        controller.enqueue(new TextEncoder().encode(parts === 0 ? body() : ` ${body()}`));
        if (++parts === 2) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(stream, { headers: { "cache-control": control } });
}

const SERVERS: Readonly<Record<string, Mount>> = {
  "node:http": (pages, page) => {
    const shop = cachedListener(pages, listenerOf(page));
    return listen((request, response) =>
      asUser(request.headers["x-user"] as string | undefined, () => shop(request, response)),
    );
  },
  ...Object.fromEntries(
    Object.entries({ "Express 5": express, "Express 4": express4 }).map(([name, make]): [string, Mount] => [
      name,
      (pages, page) => {
        const app = make();
        app.use((request, _, next) => asUser(request.get("x-user"), next));
        app.use(expressCache(pages));
        app.use(listenerOf(page));
        return listen(app);
      },
    ]),
  ),
  Fastify: async (pages, page) => {
    const app = fastify();
    app.addHook("onRequest", ({ headers }, _, done) => asUser(headers["x-user"] as string | undefined, done));
    fastifyCache(app, pages);
    app.get("*", (request, reply) => {
      const { control, body } = page(request.url);
      return reply.header("cache-control", control).send(`${body()} ${body()}`);
    });
    await app.ready();
    onTestFinished(() => app.close());
    return listen((request, response) => app.routing(request, response));
  },
  Hono: (pages, page) => {
    const app = new Hono();
    app.use((context, next) => asUser(context.req.header("x-user"), next));
    app.use(honoCache(pages, () => app));
    app.get("*", ({ req }) => responseOf(page(req.path)));
    return async (path, as) => {
      const headers = { "user-agent": "x", ...(as && { "x-user": as }) };
      return (await app.request(path, { headers })).text();
    };
  },
  "a fetch handler": (pages, page) => {
    const handler = cachedHandler(pages, (request) => responseOf(page(new URL(request.url).pathname)));
    return async (path, as) => {
      const request = new Request(`https://shop.example${path}`, { headers: { "user-agent": "x" } });
      return (await asUser(as, () => handler(request))).text();
    };
  },
};

const CLIENTS: Readonly<Record<string, Mount>> = {
  cachedFetch: (pages, page) => {
    const get = cachedFetch(pages, async (input) => responseOf(page(new URL((input as Request).url).pathname)));
    return async (path, as) => (await asUser(as, () => get(`https://shop.example${path}`))).text();
  },
  undici: async (pages, page) => {
    const server = createServer(listenerOf((path) => ({ ...page(path), body: () => "body" }))).listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => (server.closeAllConnections(), void server.close()));
    const { port } = server.address() as AddressInfo;
    // What stands below the cache: an interceptor that signs, say.
    const seen: string[] = [];
    const dispatcher = new Agent().compose(
      (dispatch) => (options, handler) => (seen.push(user()), dispatch(options, handler)),
      httpInterceptor(pages),
    );
    onTestFinished(() => dispatcher.close());
    return async (path, as) => {
      const before = seen.length;
      await (await asUser(as, () => undiciFetch(`http://127.0.0.1:${port}${path}`, { dispatcher }))).text();
      const [first = "none"] = seen.slice(before);
      return `${first} ${first}`;
    };
  },
};

function open(options: HttpCacheOptions, clock?: TestClock): HttpCache {
  const cache = createCache({ name: "shop", ...(clock && { clock }) })
    .tier(memory())
    .build();
  onTestFinished(() => cache.close());
  return httpCache(cache.namespace("http"), { ...(clock && { clock }), ...options });
}

const BASE = { base: "https://shop.example" };
const FRESH: Page = { control: "max-age=1, stale-while-revalidate=600", body: user };

describe.each(Object.entries(SERVERS))("%s", (_, mount) => {
  it("H104 a load runs in the async context of no client", async () => {
    const ask = await mount(open(BASE), () => FRESH);
    expect(await ask("/", "alice")).toBe("nobody nobody");
    expect(await ask("/")).toBe("nobody nobody");
  });

  it("H104 so does one that clients wait for together", async () => {
    const ask = await mount(open(BASE), () => FRESH);
    const names = ["alice", "bob", undefined];
    expect(await Promise.all(names.map((name) => ask("/", name)))).toEqual(names.map(() => "nobody nobody"));
  });

  it("H104 so does a refresh in the background, in that of no client that was served", async () => {
    const clock = new TestClock();
    const runs: string[] = [];
    const page: Page = { ...FRESH, body: () => (runs.push(user()), "page") };
    const ask = await mount(open(BASE, clock), () => page);
    await ask("/");
    await flush();
    clock.advance(1_500);
    expect(await ask("/", "bob")).toBe("page page");
    await expect.poll(() => runs.length).toBe(4);
    expect(runs).toEqual(["nobody", "nobody", "nobody", "nobody"]);
  });

  it("H104 an answer for one client alone is made in its context", async () => {
    const ask = await mount(open(BASE), () => {
      const name = user();
      return { control: "private", body: () => name };
    });
    for (const name of ["alice", "bob", "alice"]) expect(await ask("/me", name)).toBe(`${name} ${name}`);
  });

  it("H104 `ofOneClient` brings in what is of the client that began the load, and nothing else", async () => {
    const ofOneClient: HttpCacheOptions["ofOneClient"] = () => {
      const id = `request of ${user()}`;
      return (load) => ids.run(id, load);
    };
    const seen: (string | undefined)[] = [];
    const ask = await mount(open({ ...BASE, ofOneClient }), () => (seen.push(ids.getStore()), FRESH));
    expect(await ask("/", "alice")).toBe("nobody nobody");
    expect(seen).toEqual(["request of alice"]);
  });
});

describe.each(Object.entries(CLIENTS))("%s", (_, mount) => {
  it("H104 a request that is shared is sent in the async context of no caller", async () => {
    const ask = await mount(open({}), () => FRESH);
    expect(await ask("/", "alice")).toBe("nobody nobody");
    const own = await mount(open({ mode: "private" }), () => FRESH);
    expect(await own("/", "alice")).toBe("nobody nobody");
  });
});

it("H104 `ofOneClient` must be a function", () => {
  expect(() => open({ ofOneClient: ids as never })).toThrow("ofOneClient must be a function, got an object");
});
