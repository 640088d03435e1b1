import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { createServer, request as ask1, type IncomingMessage, type OutgoingHttpHeaders } from "node:http";
import { connect, createServer as createHttp2Server, sensitiveHeaders, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo, Server } from "node:net";
import { join } from "node:path";
import type { HttpCacheOptions } from "@hotset/http";
import { cachedListener, expressCache, type Listener } from "@hotset/http/node";
import express from "express";
import { describe, expect, it, onTestFinished } from "vitest";
import { ADAPTERS, BASE, open, type Ask, type Pages } from "./every-adapter.ts";

const TAGS = { "cache-tag": "books", "surrogate-key": "books", xkey: "books" };
const OPTIONS: HttpCacheOptions = { base: BASE, rules: [{ match: { path: "/pass/{rest}*" }, pass: true }, {}] };

/** What a client sees of an answer: its Cache-Status without figures, the tags in it, another field and its body. */
async function seen(answer: Response): Promise<readonly unknown[]> {
  const tags = Object.keys(TAGS).filter((name) => answer.headers.has(name));
  const status = answer.headers.get("cache-status")?.replace(/hotset; |; (ttl|fwd-status)=-?\d+/g, "");
  return [status, tags, answer.headers.get("x-kept"), await answer.text()];
}

const tagged =
  (lifetime: string, status = 200): Pages =>
  ({ method }) => ({ status, fields: { ...TAGS, "x-kept": "yes", "cache-control": lifetime }, body: method });

const FRESH = "max-age=60";

describe.each(Object.keys(ADAPTERS))("H74 %s gives no tags to clients", (name) => {
  const site = (pages: Pages): Promise<Ask> => ADAPTERS[name]!(pages, open(OPTIONS));

  it("with what is stored, or is on its way", async () => {
    const at = await site(tagged(FRESH));
    const together = await Promise.all([1, 2, 3].map(async () => seen(await at("/a"))));
    expect(together.map(([, ...rest]) => rest)).toEqual(together.map(() => [[], "yes", "GET"]));
    await expect.poll(async () => seen(await at("/a"))).toEqual(["hit", [], "yes", "GET"]);
    const stale = await site(tagged("max-age=0, stale-while-revalidate=60"));
    await (await stale("/a")).text();
    await expect.poll(async () => seen(await stale("/a"))).toEqual(["hit; detail=revalidating", [], "yes", "GET"]);
  });

  it.each<[string, string, RequestInit, Pages, string]>([
    ["by a rule", "/pass/a", {}, tagged(FRESH), "fwd=bypass; detail=rule"],
    ["that is private", "/a", {}, tagged("private"), "fwd=uri-miss; detail=private"],
    ["that is an error", "/a", {}, tagged(FRESH, 503), "fwd=uri-miss; detail=status"],
    ["to a POST", "/a", { method: "POST" }, tagged(FRESH), "fwd=method"],
    ["to a DELETE", "/pass/a", { method: "DELETE" }, tagged(FRESH), "fwd=method"],
  ])("with an answer %s, which is forwarded", async (_, path, init, pages, status) => {
    const at = await site(pages);
    const body = init.method ?? "GET";
    // The second is asked for its client alone.
    for (const _ of [1, 2]) expect(await seen(await at(path, init))).toEqual([status, [], "yes", body]);
    const head = await at(path, { method: "HEAD" });
    expect([Object.keys(TAGS).filter((each) => head.headers.has(each)), head.headers.get("x-kept")]).toEqual([
      [],
      "yes",
    ]);
  });
});

/** The ways in which a handler writes a head. */
const HEADS: Readonly<Record<string, Listener>> = {
  "in one call": (_, response) => void response.writeHead(201, "Fine", { ...TAGS, "x-kept": "yes" }).end("x"),
  "as a list": (_, response) =>
    void response.writeHead(201, "Fine", [...Object.entries(TAGS).flat(), "X-Kept", "yes"]).end("x"),
  "as a list with lists of values": (_, response) =>
    void response.writeHead(201, "Fine", ["Cache-Tag", ["a", "b"], "Xkey", "books", "x-kept", "yes"] as never).end("x"),
  "field by field": (_, response) => {
    for (const [name, value] of Object.entries({ ...TAGS, "X-Kept": "yes" })) response.setHeader(name, value);
    response.statusCode = 201;
    response.end("x");
  },
  "in both ways": (_, response) => {
    response.setHeader("Cache-Tag", "books");
    response.writeHead(201, { Xkey: "books", "x-kept": "yes" }).end("x");
  },
  "in parts": (_, response) => {
    response.writeHead(201, { ...TAGS, "x-kept": "yes" });
    response.write("");
    response.end("x");
  },
};

async function portOf(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** As HTTP/2 has it: with the status among the fields. */
type Head = Readonly<Record<string, unknown>>;

/** A request as a client may write it: with a whole URL, too. */
async function overHttp1(port: number, method: string, path: string): Promise<Head> {
  const asked = ask1({ port, host: "127.0.0.1", method, path, agent: false }).end();
  const [{ headers, statusCode }] = (await once(asked, "response")) as [IncomingMessage];
  asked.destroy();
  return { ...headers, ":status": statusCode };
}

async function overHttp2(port: number, method: string, path: string, fields: OutgoingHttpHeaders = {}): Promise<Head> {
  const session = connect(`http://127.0.0.1:${port}`);
  const asked = session.request({ ...fields, ":method": method, ":path": path });
  const ended = once(asked, "end");
  const [headers] = (await once(asked, "response")) as [Head];
  // Node crashes if the session is destroyed while a file is sent.
  asked.resume();
  await ended;
  session.destroy();
  return headers;
}

const shown = (headers: Head): readonly unknown[] => [
  headers[":status"],
  headers["x-kept"],
  Object.keys(TAGS).filter((name) => name in headers),
];

describe.each(Object.keys(HEADS))("H74 a head that is written %s", (way) => {
  it.each([
    ["HTTP/1.1", (listener: Listener) => createServer(listener), overHttp1],
    ["HTTP/2", (listener: Listener) => createHttp2Server(listener as never), overHttp2],
  ] as const)("has no tags for clients of %s", async (_, create, send) => {
    const port = await portOf(create(cachedListener(open(OPTIONS), HEADS[way]!)));
    for (const method of ["GET", "HEAD", "POST", "PURGE"])
      for (const path of ["/pass/a", "/a"])
        expect([method, path, ...shown(await send(port, method, path))]).toEqual([method, path, 201, "yes", []]);
  });

  it("has no tags for a client that asks as it would ask a proxy", async () => {
    const port = await portOf(createServer(cachedListener(open(OPTIONS), HEADS[way]!)));
    expect(shown(await overHttp1(port, "GET", `${BASE}/a`))).toEqual([201, "yes", []]);
    expect(shown(await overHttp1(port, "OPTIONS", "*"))).toEqual([201, "yes", []]);
  });
});

/** The ways in which a handler of HTTP/2 gives a head to its stream, past the response. */
const STREAMS: Readonly<Record<string, (stream: ServerHttp2Stream, head: OutgoingHttpHeaders) => void>> = {
  respond: (stream, head) => {
    stream.respond(head);
    stream.end("body");
  },
  "respond as a list": (stream, head) => {
    // Each line a pair of its own, as Node gives raw headers.
    const lines = Object.entries(head).flatMap(([name, value]) => [value].flat().flatMap((text) => [name, text]));
    stream.respond(Object.assign(lines, MARKS) as never);
    stream.end("body");
  },
  "respond as a list with lists of values": (stream, head) => {
    stream.respond(Object.assign(Object.entries(head).flat(), MARKS) as never);
    stream.end("body");
  },
  respondWithFile: (stream, head) => stream.respondWithFile(BODY, head),
  respondWithFD: (stream, head) => {
    const fd = openSync(BODY, "r");
    stream.respondWithFD(fd, head);
    stream.once("close", () => closeSync(fd));
  },
};
const BODY = join(import.meta.dirname, "public-api.test.ts");
const MARKS = { [sensitiveHeaders]: ["x-kept"] };

describe.each(Object.keys(STREAMS))("H74 a head that is given to a stream by %s", (way) => {
  it.each([
    ["GET", "/pass/a", "fwd=bypass; detail=rule"],
    ["GET", "/a", "fwd=bypass; detail=authorization"],
    ["POST", "/a", "fwd=method"],
  ])("has no tags for a client, and a Cache-Status: %s %s", async (method, path, status) => {
    const listener: Listener = (_, response) => {
      const { stream } = response as unknown as { readonly stream: ServerHttp2Stream };
      const head = { ":status": 201, ...TAGS, "x-kept": "yes", "x-b": ["1", "2"], "cache-control": "private" };
      STREAMS[way]!(stream, { ...head, "x-none": undefined, ...MARKS });
    };
    const port = await portOf(createHttp2Server(cachedListener(open(OPTIONS), listener) as never));
    const head = await overHttp2(port, method, path, { authorization: "x" });
    expect([...shown(head), head["x-b"], head["x-none"]]).toEqual([201, "yes", [], "1, 2", undefined]);
    expect(head["cache-status"]).toBe(`hotset; ${status.replace(/(?=;|$)/, "; fwd-status=201")}`);
    expect(head[sensitiveHeaders as never]).toEqual(["x-kept"]);
  });
});

it.each(["GET", "HEAD", "POST"])("H74 a handler that has set tags and fails at %s shows none", async (method) => {
  const app = express();
  app.use(expressCache(open(OPTIONS)));
  app.use((_request, response) => {
    response.set({ ...TAGS, "x-kept": "yes" });
    throw new Error("broken");
  });
  app.use(((_error, _request, response, _next) => void response.status(500).end()) as express.ErrorRequestHandler);
  const port = await portOf(createServer(app));
  for (const path of ["/pass/a", "/a"]) expect(shown(await overHttp1(port, method, path))).toEqual([500, "yes", []]);

  const listener = cachedListener(open(OPTIONS), async (_request, response) => {
    for (const [name, value] of Object.entries({ ...TAGS, "x-kept": "yes" })) response.setHeader(name, value);
    await Promise.reject(new Error("broken"));
  });
  const over2 = await portOf(createHttp2Server(listener as never));
  // The fields of a listener that fails go with it.
  for (const path of ["/pass/a", "/a"])
    expect(shown(await overHttp2(over2, method, path))).toEqual([500, undefined, []]);
});

it("H74 only the fields named by tagFields are withheld", async () => {
  const cache = open({ ...OPTIONS, tagFields: { "X-Tags": "," } });
  const port = await portOf(
    createServer(
      cachedListener(cache, (_, response) => void response.writeHead(200, { ...TAGS, "x-tags": "a" }).end()),
    ),
  );
  const headers = await overHttp1(port, "GET", "/pass/a");
  expect([headers["x-tags"], headers["cache-tag"]]).toEqual([undefined, "books"]);
});
