import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { createCache } from "@hotset/core";
import { v8 } from "@hotset/formats";
import { httpCache, type HttpCache, type HttpCacheOptions } from "@hotset/http";
import { httpInterceptor } from "@hotset/http/undici";
import { memory } from "@hotset/memory";
import { createTestCache, flush, gate, scriptedBackend, TestClock } from "@hotset/testing";
import { Agent, Client, fetch, MockAgent, Pool, request, type Dispatcher } from "undici";
import { describe, expect, it, onTestFinished } from "vitest";

const FRESH = { "cache-control": "max-age=60", etag: '"a"' };

function open(options: HttpCacheOptions = {}): HttpCache {
  const cache = createCache({ name: "client" })
    .tier(memory({ maxEntries: 1_000 }))
    .build();
  onTestFinished(() => cache.close());
  return httpCache(cache.namespace("http"), options);
}

async function listen(listener: (...given: Parameters<RequestListener>) => unknown): Promise<string> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Counts its requests, and answers with their number and what it saw. */
async function counting(fields: Record<string, string> = FRESH): Promise<{ url: string; seen: string[] }> {
  const seen: string[] = [];
  const url = await listen(({ url: path, headers }, response) => {
    seen.push(`${path} ${String(headers["x-a"] ?? "")}`);
    response.writeHead(200, fields).end(`${seen.length}`);
  });
  return { url, seen };
}

const agentOver = (cache: HttpCache): Dispatcher => {
  const agent = new Agent();
  onTestFinished(() => agent.close());
  return agent.compose(httpInterceptor(cache));
};

const KINDS: Readonly<Record<string, (url: string, cache: HttpCache) => Dispatcher>> = {
  Agent: (_, cache) => agentOver(cache),
  Pool: (url, cache) => new Pool(url).compose(httpInterceptor(cache)),
  Client: (url, cache) => new Client(url).compose(httpInterceptor(cache)),
};

describe("httpInterceptor", () => {
  it("H89 a Client takes any name of its origin, and fields as pairs", async () => {
    const { url, seen } = await counting();
    const client = KINDS["Client"]!(url, open());
    const headers = [["x-a", "1"]] as unknown as string[];
    for (const method of ["GET", "GET", "POST"] as const) {
      const { body } = await client.request({ origin: "localhost", path: "/", method, headers });
      await body.text();
    }
    expect(seen).toEqual(["/ 1", "/ 1"]);
  });

  it("H90 two processes that store two variants at once keep both, next to each other", async () => {
    const clock = new TestClock();
    const backend = scriptedBackend({ clock, format: v8(), leases: true, tagVersions: true, coherence: "reported" });
    const loading = [gate(), gate()] as const;
    const seen: string[] = [];
    const url = await listen(async ({ headers }, response) => {
      const language = String(headers["accept-language"]);
      seen.push(language);
      if (language !== "en") await loading[language === "de" ? 0 : 1].pass();
      response.writeHead(200, { ...FRESH, vary: "accept-language" }).end(language);
    });
    const dispatchers = [backend, backend.peer()].map((each) => {
      const cache = createTestCache({ clock, backend: each });
      onTestFinished(() => cache.close());
      return agentOver(httpCache(cache.namespace("http"), { clock }));
    });
    const ask = async (process: number, language: string): Promise<string> => {
      const { body } = await request(url, {
        dispatcher: dispatchers[process]!,
        headers: { "accept-language": language },
      });
      return body.text();
    };
    // By its answer both processes know the field that selects.
    for (const process of [0, 1]) expect(await ask(process, "en")).toBe("en");
    const answers = [ask(0, "de"), ask(1, "fr")];
    await Promise.all(loading.map((each) => each.arrived()));
    for (const each of loading) each.open();
    expect(await Promise.all(answers)).toEqual(["de", "fr"]);
    await flush();
    for (const process of [0, 1, 1, 0])
      for (const language of ["fr", "de"]) expect(await ask(process, language)).toBe(language);
    expect(seen.toSorted()).toEqual(["de", "en", "fr"]);
  });

  it.each(Object.keys(KINDS))("H89 answers requests of a %s from one load", async (kind) => {
    const { url, seen } = await counting();
    const dispatcher = KINDS[kind]!(url, open());
    const bodies: string[] = [];
    for (let i = 0; i < 3; i++) {
      const { body } = await dispatcher.request({
        path: "/a",
        method: "GET",
        ...(kind === "Agent" && { origin: url }),
      });
      bodies.push(await body.text());
    }
    expect([bodies, seen]).toEqual([["1", "1", "1"], ["/a "]]);
  });

  it("H89 answers for a MockAgent", async () => {
    const mock = new MockAgent();
    mock.disableNetConnect();
    mock.get("https://rates.example").intercept({ path: "/" }).reply(200, "mocked", { headers: FRESH });
    const dispatcher = mock.compose(httpInterceptor(open()));
    for (const _ of [1, 2])
      expect(await (await request("https://rates.example/", { dispatcher })).body.text()).toBe("mocked");
  });

  it("H89 query is part of the URL", async () => {
    const { url, seen } = await counting();
    const dispatcher = agentOver(open());
    const ask = async (query: Record<string, unknown>): Promise<string> =>
      (await request(`${url}/`, { dispatcher, query })).body.text();
    expect([await ask({ a: 1 }), await ask({ a: 2 }), await ask({ a: 1 })]).toEqual(["1", "2", "1"]);
    expect(seen).toEqual(["/?a=1 ", "/?a=2 "]);
  });

  it("H89 takes headers in each form", async () => {
    const { url, seen } = await counting({ ...FRESH, vary: "x-a" });
    const dispatcher = agentOver(open());
    const forms = [{ "X-A": "1" }, ["X-A", "1"], new Map([["X-A", "1"]]), [["X-A", "1"]], { "x-a": ["2", "3"] }];
    const bodies: string[] = [];
    for (const headers of forms)
      bodies.push(await (await request(url, { dispatcher, headers: headers as never })).body.text());
    expect([bodies, seen]).toEqual([
      ["1", "1", "1", "1", "2"],
      ["/ 1", "/ 2, 3"],
    ]);
  });

  it("H89 a signal ends the wait of its own caller", async () => {
    const loading = gate();
    const url = await listen(
      (_, response) => void loading.pass().then(() => response.writeHead(200, FRESH).end("page")),
    );
    const dispatcher = agentOver(open());
    const leaving = new AbortController();
    const left = request(url, { dispatcher, signal: leaving.signal });
    const other = request(url, { dispatcher });
    await loading.arrived();
    leaving.abort(new Error("left"));
    await expect(left).rejects.toThrow("left");
    loading.open();
    expect(await (await other).body.text()).toBe("page");
  });

  it("H89 a reader that pauses holds the origin up, and gets every byte", async () => {
    const size = 8 * 1_048_576;
    let sent = 0;
    const url = await listen((_, response) => {
      response.writeHead(200, FRESH);
      const chunk = new Uint8Array(65_536);
      const write = (): void => {
        while (sent < size) {
          sent += chunk.byteLength;
          if (!response.write(chunk)) return void response.once("drain", write);
        }
        response.end();
      };
      write();
    });
    const { body } = await request(url, { dispatcher: agentOver(open({ maxBodyBytes: 65_536 })) });
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(sent).toBeLessThan(size);
    expect((await body.arrayBuffer()).byteLength).toBe(size);
  });

  it("H89 a 304 with Content-Length renews what is stored", async () => {
    let hits = 0;
    const url = await listen(({ headers }, response) => {
      if (headers["if-none-match"] === undefined)
        response.writeHead(200, { etag: '"a"', "cache-control": "max-age=0" }).end("page");
      else
        response.writeHead(304, { "content-length": "4", "cache-control": "max-age=60", "x-hits": `${++hits}` }).end();
    });
    const dispatcher = agentOver(open());
    expect(await (await request(url, { dispatcher })).body.text()).toBe("page");
    for (const _ of [1, 2]) {
      const { statusCode, headers, body } = await request(url, { dispatcher });
      expect([statusCode, headers["x-hits"], headers["content-length"], await body.text()]).toEqual([
        200,
        "1",
        "4",
        "page",
      ]);
    }
  });

  it("H89 unsafe methods reach the origin with their body, and invalidate", async () => {
    let version = 1;
    const url = await listen((incoming, response) => {
      if (incoming.method === "GET") response.writeHead(200, FRESH).end(`${version}`);
      else incoming.on("data", (chunk) => (version = Number(chunk))).on("end", () => response.writeHead(204).end());
    });
    const dispatcher = agentOver(open());
    const get = async (): Promise<string> => (await request(url, { dispatcher })).body.text();
    await get();
    expect((await request(url, { dispatcher, method: "PUT", body: "7" })).statusCode).toBe(204);
    expect(await get()).toBe("7");
  });

  it("H89 answers fetch of undici, with several fields of one name", async () => {
    const url = await listen((_, response) => {
      response
        .writeHead(
          200,
          [
            ["cache-control", "max-age=60"],
            ["link", "</a>"],
            ["link", "</b>"],
          ].flat(),
        )
        .end("page");
    });
    const dispatcher = agentOver(open());
    for (const expected of [/stored$/, /hit/]) {
      const answer = await fetch(url, { dispatcher });
      expect([await answer.text(), answer.headers.get("link")]).toEqual(["page", "</a>, </b>"]);
      expect(answer.headers.get("cache-status")).toMatch(expected);
    }
  });

  it("H48 H89 an origin that cannot be reached: the error of undici, or a stale response", async () => {
    const dispatcher = agentOver(open());
    await expect(request("http://127.0.0.1:1/", { dispatcher })).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });
});
