import { createHook } from "node:async_hooks";
import { once } from "node:events";
import { createServer, request as ask, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createCache } from "@hotset/core";
import { inspector, type Inspector } from "@hotset/inspector";
import { inspectorListener } from "@hotset/inspector/node";
import { memory } from "@hotset/memory";
import express from "express";
import fastify from "fastify";
import { Hono } from "hono";
import { describe, expect, it, onTestFinished } from "vitest";

async function opened(path?: string): Promise<Inspector> {
  const cache = createCache({ name: "shop" }).tier(memory()).build();
  await cache.set("user:1", { name: "Ada" });
  const inspect = inspector(cache, { path });
  onTestFinished(() => inspect.close());
  onTestFinished(() => cache.close());
  return inspect;
}

async function listening(server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => (server.closeAllConnections(), void server.close()));
  return `http://localhost:${(server.address() as AddressInfo).port}`;
}

/** The page, its script, a question and the first event of a stream, as a browser gets them. */
async function visit(origin: string, path: string): Promise<unknown> {
  const moved = await fetch(origin + path, { redirect: "manual" });
  const page = await fetch(`${origin}${path}/`);
  const script = await fetch(`${origin}${path}/page.js`);
  const etag = script.headers.get("etag") ?? "";
  const again = await fetch(`${origin}${path}/page.js`, { headers: { "if-none-match": etag } });
  const answer = await fetch(`${origin}${path}/api/value`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-hotset-inspector": "1", origin },
    body: JSON.stringify({ cache: "shop", key: "user:1" }),
  });
  const leaving = new AbortController();
  const stream = await fetch(`${origin}${path}/api/live?page=overview`, { signal: leaving.signal });
  let text = "";
  for await (const part of stream.body!.pipeThrough(new TextDecoderStream())) {
    text += part;
    if (text.includes("data: ")) break;
  }
  leaving.abort();
  const live = JSON.parse(/data: (.*)/.exec(text)?.[1] ?? "{}") as { status: { pages: string[] } };
  const elsewhere = await fetch(`${origin}/other`);
  return {
    moved: [moved.status, moved.headers.get("location")],
    page: [page.status, /<title>(.*)<\/title>/.exec(await page.text())?.[1]],
    script: [script.status, script.headers.get("content-type"), (await script.text()).length > 10_000, again.status],
    value: JSON.parse(((await answer.json()) as { text: string }).text) as unknown,
    live: [stream.headers.get("content-type"), live.status.pages],
    elsewhere: await elsewhere.text(),
  };
}

const seen = (path: string): unknown => ({
  moved: [308, `${path.split("/").at(-1)}/`],
  page: [200, "hotset inspector"],
  script: [200, "text/javascript; charset=utf-8", true, 304],
  value: { name: "Ada" },
  live: ["text/event-stream", ["overview", "keys", "invalidations", "stampedes", "stale", "fleet"]],
  elsewhere: "the app",
});

describe("the inspector answers, and leaves the rest to the app", () => {
  it("in node:http", async () => {
    const inspect = await opened("/admin/cache");
    const listener = inspectorListener(inspect);
    const origin = await listening(
      createServer((request, response) =>
        request.url?.startsWith(inspect.path) ? listener(request, response) : response.end("the app"),
      ),
    );
    expect(await visit(origin, "/admin/cache")).toEqual(seen("/admin/cache"));
  });

  it.for([false, true])("in Express, after a parser of bodies: %s", async (parses) => {
    const inspect = await opened();
    const app = express();
    if (parses) app.use(express.json());
    app.use(inspect.path, inspectorListener(inspect));
    app.get("/other", (_request, response) => void response.send("the app"));
    expect(await visit(await listening(createServer(app)), "/hotset")).toEqual(seen("/hotset"));
  });

  it("in Fastify", async () => {
    const inspect = await opened();
    const listener = inspectorListener(inspect);
    const app = fastify();
    app.addHook("onRequest", (request, reply, done) => {
      if (!request.url.startsWith(inspect.path)) return done();
      reply.hijack();
      listener(request.raw, reply.raw);
    });
    app.get("/other", () => "the app");
    await app.ready();
    onTestFinished(() => app.close());
    expect(await visit(await listening(app.server), "/hotset")).toEqual(seen("/hotset"));
  });

  it("in Hono", async () => {
    const inspect = await opened();
    const app = new Hono<{ Bindings: { address: string } }>();
    app.all("/hotset/*", (c) => inspect(c.req.raw, { address: c.env.address }));
    app.all("/hotset", (c) => inspect(c.req.raw, { address: c.env.address }));
    app.get("/other", (c) => c.text("the app"));
    const asked = async (path: string): Promise<Response> =>
      app.fetch(new Request(`http://localhost${path}`), { address: "127.0.0.1" });
    expect([(await asked("/hotset")).status, (await asked("/hotset/")).status]).toEqual([308, 200]);
    expect(await (await asked("/other")).text()).toBe("the app");
    const refused = await app.fetch(new Request("http://localhost/hotset/"), { address: "10.0.0.7" });
    expect(refused.status).toBe(403);
  });
});

describe("requests that no browser sends", () => {
  const sent = async (origin: string, path: string, headers: Readonly<Record<string, string>>): Promise<number> => {
    const request = ask(origin, { path, headers }).end();
    const [response] = (await once(request, "response")) as [{ statusCode: number; resume(): void }];
    response.resume();
    return response.statusCode;
  };

  it("are refused in words, and harm nothing", async () => {
    const inspect = await opened();
    const origin = await listening(createServer(inspectorListener(inspect)));
    expect(await sent(origin, "//evil.example/hotset/", {})).toBe(404);
    expect(await sent(origin, "http://evil.example/hotset/", {})).toBe(404);
    expect(await sent(origin, "/hotset/../etc/passwd", {})).toBe(404);
    expect(await sent(origin, "/hotset/", { host: "evil.example" })).toBe(403);
    expect(await sent(origin, "/hotset/", { host: "a b" })).toBe(403);
    expect(await sent(origin, "/hotset/", {})).toBe(200);
  });
});

describe("streams", () => {
  it("end with the inspector, which answers no more", async () => {
    const inspect = await opened();
    const client = { address: "127.0.0.1" };
    const stream = await inspect(new Request("http://localhost/hotset/api/live?page=keys"), client);
    inspect.close();
    expect(await stream.text()).toMatch(/^retry: 2000/);
    expect((await inspect(new Request("http://localhost/hotset/"), client)).status).toBe(503);
  });

  it("are 50 at most; one that a client leaves makes room", async () => {
    const inspect = await opened();
    const open = (): Promise<Response> =>
      inspect(new Request("http://localhost/hotset/api/live?page=keys"), { address: "127.0.0.1" });
    const streams = await Promise.all(Array.from({ length: 50 }, open));
    expect(streams.map(({ status }) => status)).toEqual(streams.map(() => 200));
    expect((await open()).status).toBe(503);
    await streams[0]!.body!.cancel();
    expect((await open()).status).toBe(200);
  });

  it("cost a call neither a promise nor a timer while nobody watches", async () => {
    const cache = createCache({ name: "shop" }).tier(memory()).build();
    await cache.set("user:1", "Ada");
    const made = async (): Promise<readonly string[]> => {
      const types: string[] = [];
      const hook = createHook({ init: (_id, type) => void types.push(type) }).enable();
      for (let i = 0; i < 100; i += 1) await cache.getOrSet("user:1", () => "loaded");
      hook.disable();
      return types;
    };
    // The first calls do what is done once.
    await made();
    const without = await made();
    const inspect = inspector(cache);
    onTestFinished(() => inspect.close());
    onTestFinished(() => cache.close());
    expect(await made()).toEqual(without);
  });

  it("listen to each call that joins a load only while someone watches", async () => {
    const cache = createCache({ name: "shop" }).tier(memory()).build();
    const listened: string[] = [];
    const on = cache.on.bind(cache);
    cache.on = ((event: "hit", listener: () => void) => {
      const stop = on(event, listener);
      listened.push(`+${event}`);
      return () => (listened.push(`-${event}`), stop());
    }) as typeof cache.on;
    const inspect = inspector(cache);
    onTestFinished(() => inspect.close());
    onTestFinished(() => cache.close());
    const idle = [...listened];
    // Events of each hit or miss would cost each call. Those of stores have the largest value, and those of callers
    // that join a stampede.
    expect(idle.filter((name) => /hit|miss|store|coalesced/.test(name))).toEqual(["+coalesced", "+store"]);
    const open = (): Promise<Response> =>
      inspect(new Request("http://localhost/hotset/api/live?page=keys"), { address: "127.0.0.1" });
    const [one, other] = [await open(), await open()];
    expect(listened.slice(idle.length)).toEqual(["+coalesced"]);
    await one.body!.cancel();
    expect(listened.slice(idle.length)).toEqual(["+coalesced"]);
    await other.body!.cancel();
    expect(listened.slice(idle.length)).toEqual(["+coalesced", "-coalesced"]);
  });
});
