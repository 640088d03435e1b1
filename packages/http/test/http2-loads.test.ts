import { once } from "node:events";
import { connect, createServer, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import type { AddressInfo } from "node:net";
import { createCache } from "@hotset/core";
import { httpCache } from "@hotset/http";
import { cachedListener } from "@hotset/http/node";
import { memory } from "@hotset/memory";
import { describe, expect, it, onTestFinished } from "vitest";

type Handler = (request: Http2ServerRequest, response: Http2ServerResponse) => unknown;
type Ask = (path: string, body?: string) => Promise<readonly [status: number, text: string, cacheStatus: string]>;

async function serve(handler: Handler): Promise<Ask> {
  const cache = createCache({ name: "shop" }).tier(memory()).build();
  const pages = httpCache(cache.namespace("http"), { base: "http://shop.example" });
  const server = createServer(cachedListener(pages, handler as never) as never).listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  onTestFinished(async () => (client.close(), server.close(), cache.close()));
  return (path, body) =>
    new Promise((resolve, reject) => {
      const headers = { ":path": path, ":authority": "shop.example" };
      const stream = client.request(headers, { endStream: body === undefined }).setEncoding("utf8");
      let text = "";
      let status = 0;
      let told = "";
      stream.on("response", (head) => {
        status = Number(head[":status"]);
        told = String(head["cache-status"]);
      });
      stream.on("data", (part: string) => (text += part));
      stream.on("end", () => resolve([status, text, told])).on("error", reject);
      if (body !== undefined) stream.end(body);
    });
}

describe("HTTP/2", () => {
  it("H104 a handler routes by what HTTP/2 alone has, in a load too", async () => {
    const ask = await serve((request, response) => {
      const { authority, scheme, stream } = request;
      response.setHeader("cache-control", "max-age=60");
      response.statusCode = request.headers[":path"] === "/books" ? 200 : 404;
      response.end(`${authority} ${scheme} ${typeof stream.id} ${stream.pushAllowed}`);
    });
    expect(await ask("/books")).toEqual([200, "shop.example http number false", expect.stringMatching(/stored$/)]);
    expect(await ask("/books")).toEqual([200, "shop.example http number false", expect.stringMatching(/hit/)]);
  });

  it("H82 a GET with a body that no field announces is forwarded, and shares no answer", async () => {
    const ask = await serve(async (request, response) => {
      let body = "";
      for await (const part of request) body += String(part);
      response.setHeader("cache-control", "max-age=60");
      response.end(`found for ${body}`);
    });
    for (const body of ["tea", "coffee"])
      expect(await ask("/search", body)).toEqual([200, `found for ${body}`, expect.stringContaining("ambiguous")]);
  });
});
