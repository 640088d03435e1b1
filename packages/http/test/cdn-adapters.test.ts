import { once } from "node:events";
import { createServer, request, type IncomingMessage, type RequestListener } from "node:http";
import { connect, createServer as createHttp2Server, type IncomingHttpHeaders } from "node:http2";
import type { AddressInfo } from "node:net";
import { createCache } from "@hotset/core";
import { httpCache } from "@hotset/http";
import { fastly } from "@hotset/http/cdn";
import { cachedHandler } from "@hotset/http/fetch";
import { cachedListener } from "@hotset/http/node";
import { memory } from "@hotset/memory";
import { describe, expect, it } from "vitest";

function pages() {
  const cache = createCache({ name: "shop" }).tier(memory()).build();
  const http = httpCache(cache.namespace("pages"), {
    base: "https://shop.example",
    rules: [{ match: { path: "/pass/{rest}*" }, pass: true }, {}],
    cdn: fastly({ service: "a", token: "b", settle: 0, endpoint: "http://127.0.0.1:9" }),
  });
  return { cache, http };
}

/** A page that each adapter forwards as its handler writes it, or that is stored. */
const FIELDS = { "cache-control": "public, max-age=60", "cache-tag": "books" };
const HEADS: Readonly<Record<string, RequestListener>> = {
  "in one call": (_, response) =>
    void response.writeHead(200, "Fine", { ...FIELDS, "set-cookie": ["a=1", "b=2"] }).end("x"),
  "field by field": (_, response) => {
    for (const [name, value] of Object.entries(FIELDS)) response.setHeader(name, value);
    response.setHeader("set-cookie", ["a=1", "b=2"]);
    response.end("x");
  },
  "in both ways": (_, response) => {
    response.setHeader("Cache-Tag", "books");
    response.setHeader("Set-Cookie", ["a=1", "b=2"]);
    response.writeHead(200, ["Cache-Control", FIELDS["cache-control"]]).end("x");
  },
};

const KEYS = /^~\w+ ~\w+ books$/;

describe.each(Object.keys(HEADS))("a head that is written %s", (way) => {
  it("H108 is labelled by the node adapter, of HTTP/1 and of HTTP/2, even where the answer is only forwarded", async () => {
    const { cache, http } = pages();
    const listener = cachedListener(http, HEADS[way]!);
    const server = createServer(listener).listen(0, "127.0.0.1");
    await once(server, "listening");
    const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/pass/a`);
    expect(await answer.text()).toBe("x");
    expect(answer.headers.get("surrogate-key")).toMatch(KEYS);
    expect([
      answer.headers.get("cache-tag"),
      answer.headers.getSetCookie(),
      answer.headers.get("cache-control"),
    ]).toEqual([null, ["a=1", "b=2"], FIELDS["cache-control"]]);
    expect(answer.headers.get("cache-status")).toContain("detail=rule");
    server.close();
    server.closeAllConnections();

    const h2 = createHttp2Server(listener as never).listen(0, "127.0.0.1");
    await once(h2, "listening");
    const session = connect(`http://127.0.0.1:${(h2.address() as AddressInfo).port}`);
    for (const method of ["GET", "POST"]) {
      const request = session.request({ ":path": "/pass/a", ":method": method });
      const [headers] = (await once(request, "response")) as [IncomingHttpHeaders];
      expect([headers["cache-control"], headers["set-cookie"]]).toEqual([FIELDS["cache-control"], ["a=1", "b=2"]]);
      expect(headers["surrogate-key"] ?? "").toMatch(method === "GET" ? KEYS : /^$/);
      request.resume().end();
      await once(request, "close");
    }
    session.close();
    h2.close();
    await cache.close();
  });
});

it("H108 a fetch handler's answers are labelled whether they are stored or not", async () => {
  const { cache, http } = pages();
  const handler = cachedHandler(http, () => new Response("x", { headers: FIELDS }));
  for (const path of ["/a", "/a", "/pass/a"]) {
    const { headers } = await handler(new Request(`https://shop.example${path}`));
    expect(headers.get("surrogate-key")).toMatch(KEYS);
    expect(headers.get("cache-tag")).toBeNull();
  }
  await cache.close();
});

it("H108 an answer to a request as for a proxy, which no purge could name, is left to no CDN", async () => {
  const { cache, http } = pages();
  const server = createServer(cachedListener(http, HEADS["in one call"]!)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const asked = request({ port, host: "127.0.0.1", path: "http://shop.example/a", agent: false }).end();
  const [{ headers }] = (await once(asked, "response")) as [IncomingMessage];
  expect([headers["cache-control"], headers["surrogate-key"], headers["cache-tag"]]).toEqual([
    "max-age=60, private",
    undefined,
    undefined,
  ]);
  asked.destroy();
  server.close();
  await cache.close();
});
