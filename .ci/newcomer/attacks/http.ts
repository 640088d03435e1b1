/** Requests that poison an HTTP cache or take from it, and entries of it that someone else wrote. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener, type ServerResponse } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { httpCache } from "@hotset/http";
import { cachedFetch } from "@hotset/http/fetch";
import { cachedListener } from "@hotset/http/node";
import { createCache, memory, redis } from "hotset";
import type { Attack } from "./victim.ts";

interface Given {
  readonly method?: string;
  readonly fields?: readonly (readonly [name: string, value: string])[];
  readonly body?: string;
}

interface Site {
  /** The whole answer as it came. */
  ask(path: string, given?: Given): Promise<string>;
  entries(): number;
}

/** A cache in front of a handler. */
type Front = (handler: RequestListener) => {
  readonly listener: RequestListener;
  readonly entries: () => number;
  readonly close: () => unknown;
};

const hotset: Front = (handler) => {
  const cache = createCache({ name: "shop" }).tier(memory()).build();
  const http = httpCache(cache.namespace("pages"), { base: "http://shop.example" });
  return {
    listener: cachedListener(http, handler),
    entries: () => cache.stats().tiers[0]!.entries ?? 0,
    close: () => cache.close(),
  };
};

/** As caches of few lines are: by the decoded path and what Vary named, one load for all that ask meanwhile. */
const byPath: Front = (handler) => {
  const stored = new Map<string, Promise<readonly [string, string]>>();
  const varies = new Map<string, readonly string[]>();
  const listener: RequestListener = (request, response) => {
    const path = decodeURIComponent(request.url!);
    const key = JSON.stringify([path, ...(varies.get(path) ?? []).map((name) => request.headers[name])]);
    let load = stored.get(key);
    if (load === undefined) {
      load = new Promise((resolve) => {
        const { end } = response;
        response.end = ((text: string) => {
          const vary = String(response.getHeader("vary") ?? "");
          if (vary !== "") varies.set(path, vary.toLowerCase().split(", "));
          resolve([text, vary]);
          return end.call(response, text, "utf8");
        }) as ServerResponse["end"];
      });
      stored.set(key, load);
      handler(request, response);
    } else void load.then(([text]) => response.end(text));
  };
  return { listener, entries: () => stored.size, close: () => undefined };
};

/** Runs `attack` with both caches. @throws unless it succeeds against the one by path alone. */
async function isRefused(handler: RequestListener, attack: (site: Site) => Promise<boolean>): Promise<void> {
  for (const [front, expected] of [
    [byPath, true],
    [hotset, false],
  ] as const) {
    const { listener, entries, close } = front(handler);
    const server = createServer({ maxHeaderSize: 1_000_000, insecureHTTPParser: true }, listener).listen(
      0,
      "127.0.0.1",
    );
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    try {
      const succeeds = await attack({ entries, ask: (path, given) => asked(port, path, given) });
      assert.equal(succeeds, expected, expected ? "no cache at all could be attacked so" : "it succeeds");
    } finally {
      server.closeAllConnections();
      server.close();
      await close();
    }
  }
}

/** Over a socket: no client sends such requests. */
async function asked(
  port: number,
  path: string,
  { method = "GET", fields = [], body = "" }: Given = {},
): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  const names = fields.map(([name]) => name.toLowerCase());
  const lines = [...(names.includes("host") ? [] : [["Host", "shop.example"]]), ...fields, ["Connection", "close"]];
  socket.write(
    `${method} ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n${body}`,
  );
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("error", () => undefined);
  // A server that waits for more of a body gives no answer.
  socket.setTimeout(2_000, () => socket.destroy());
  await once(socket, "close");
  return Buffer.concat(chunks).toString("latin1");
}

const answer = (response: ServerResponse, text: string, fields: Record<string, string> = {}): void => {
  for (const [name, value] of Object.entries({ "cache-control": "max-age=60", ...fields }))
    response.setHeader(name, value);
  response.end(text);
};

/** As many frameworks are: links by Host and the proxy's fields, another URL or method where a field says so. */
const trusting: RequestListener = (request, response) => {
  const { headers } = request;
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    const host = headers["x-forwarded-host"] ?? headers["forwarded"] ?? headers.host;
    const url = headers["x-original-url"] ?? headers["x-rewrite-url"] ?? request.url;
    const method = headers["x-http-method-override"] ?? request.method;
    answer(response, [method, host, url, headers["x-theme"], Buffer.concat(chunks).toString()].join(" "));
  });
};

/** An account for the client that has its cookie, under any path that begins so. */
const account: RequestListener = (request, response) => {
  const page = `account of ${request.headers.cookie ?? "nobody"}`;
  setTimeout(() => answer(response, page, { "cache-control": "private, max-age=60" }), 20);
};

/** Whether a request of an attacker shapes the answer that someone else gets. */
const poisons =
  (requests: readonly Given[]) =>
  async ({ ask }: Site): Promise<boolean> => {
    let isPoisoned = false;
    for (const [i, request] of requests.entries()) {
      await ask(`/page?${i}`, request);
      isPoisoned ||= (await ask(`/page?${i}`)).includes("evil");
    }
    return isPoisoned;
  };

const field = (name: string, value = "evil.example"): Given => ({ fields: [[name, value]] });

/** As caches of few lines are: by the URL, and with the fields of the request wherever a redirect leads. */
function fetchByUrl(base: typeof fetch): typeof fetch {
  const stored = new Map<string, Response>();
  return async function get(input, init): Promise<Response> {
    const request = new Request(input, init);
    const response = stored.get(request.url) ?? (await base(new Request(request, { redirect: "manual" })));
    stored.set(request.url, response.clone());
    const location = response.headers.get("location");
    return location === null ? response : get(location, init);
  };
}

/** Whether what a client sends with its credentials reaches another origin, or someone without them. */
async function takesCredentials(get: (base: typeof fetch) => typeof fetch): Promise<boolean> {
  const sent: string[] = [];
  const handler: RequestListener = ({ headers, url }, response) => {
    if (url === "/evil") sent.push(`${headers.authorization} ${headers.cookie}`);
    const location = `http://localhost:${port}/evil`;
    if (url === "/go") response.writeHead(301, { location, "cache-control": "max-age=60" }).end();
    else answer(response, `page of ${headers.cookie}`);
  };
  const server = createServer(handler).listen(0);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  // A client with a cookie jar.
  const client = get(async (input) => {
    const request = new Request(input);
    if (request.credentials === "include") request.headers.set("cookie", "victim");
    return fetch(request);
  });
  const page = async (path: string, init: RequestInit): Promise<string> =>
    (await client(`http://127.0.0.1:${port}${path}`, init)).text();
  // The second is answered from the cache, and redirected all the same.
  for (const _ of [1, 2]) await page("/go", { headers: { authorization: "victim", cookie: "victim" } });
  await page("/account", { credentials: "include" });
  const pages = [await page("/account", {}), await page("/account", { credentials: "omit" })];
  server.closeAllConnections();
  server.close();
  assert(sent.length > 0, "the redirect was not followed");
  return [...sent, ...pages].some((text) => text.includes("victim"));
}

export const HTTP: Readonly<Record<string, (on: Attack) => Promise<void>>> = {
  "http: fields outside of the key": () =>
    isRefused(trusting, poisons([field("X-Forwarded-Host"), field("X-Theme"), field("Forwarded", "host=evil")])),
  "http: another Host": () =>
    isRefused(
      trusting,
      poisons([
        field("Host"),
        field("Host", "evil.example:80"),
        {
          fields: [
            ["Host", "shop.example"],
            ["Host", "evil"],
          ],
        },
      ]),
    ),
  "http: another URL or method in a field": () =>
    isRefused(
      trusting,
      poisons([
        field("X-Original-URL", "/evil"),
        field("X-Rewrite-URL", "/evil"),
        field("X-HTTP-Method-Override", "evil"),
      ]),
    ),
  "http: shapes that two servers read differently": () =>
    isRefused(
      trusting,
      poisons([
        { fields: [["Content-Length", "4"]], body: "evil" },
        { fields: [["Transfer-Encoding", "chunked"]], body: "4\r\nevil\r\n0\r\n\r\n" },
        {
          fields: [
            ["Content-Length", "4"],
            ["Transfer-Encoding", "chunked"],
          ],
          body: "4\r\nevil\r\n0\r\n\r\n",
        },
        {
          fields: [
            ["Content-Length", "4"],
            ["Content-Length", "0"],
          ],
          body: "evil",
        },
        { fields: [["Transfer-Encoding", "xchunked"]], body: "4\r\nevil\r\n0\r\n\r\n" },
        { fields: [["Content-Length", "0"]], body: "GET /evil HTTP/1.1\r\nHost: evil\r\n\r\n" },
      ]),
    ),
  "http: a page of an account under another path": () =>
    isRefused(account, async ({ ask }) => {
      const paths = ["/account/x.css", "/account;x.css", "/account%2Fx.css", "/account%00.css", "/static/..%2Faccount"];
      let isTaken = false;
      for (const path of paths) {
        await ask(path, field("Cookie", "victim"));
        isTaken ||= (await ask(path)).includes("victim");
      }
      return isTaken;
    }),
  "http: a public answer under a path that is read in two ways": () =>
    isRefused(
      (request, response) => answer(response, request.url === "/a%2Fb" ? "evil" : "page"),
      async ({ ask }) => {
        await ask("/a%2Fb");
        return (await ask("/a/b")).includes("evil");
      },
    ),
  "http: cookies of another user, 100 of them at the same time": () =>
    isRefused(account, async ({ ask }) => {
      const users = Array.from({ length: 100 }, (_, i) => `user-${i}.`);
      const pages = await Promise.all(users.map((user) => ask("/account", field("Cookie", user))));
      return pages.some((page, i) => !page.includes(`account of ${users[i]}`));
    }),
  "http: a cookie that the answer sets": () =>
    isRefused(
      (request, response) => answer(response, `session of ${request.headers.authorization}`, { "set-cookie": "id=1" }),
      async ({ ask }) => {
        await ask("/", field("Authorization", "victim"));
        return (await ask("/")).includes("victim");
      },
    ),
  "http: fields and URLs without an end": () =>
    isRefused(trusting, async ({ ask, entries }) => {
      const many = Array.from({ length: 300 }, (_, i) => [`x-${i}`, "1"] as const);
      for (let i = 0; i < 20; i += 1) {
        await ask(`/${i}`, { fields: many });
        await ask(`/${i}-wide`, field("Accept", "a".repeat(70_000)));
        await ask(`/${i}?${"a".repeat(9_000)}`);
      }
      return entries() > 0;
    }),
  "http: a variant for each client": () =>
    isRefused(
      (_, response) => answer(response, "page", { vary: "User-Agent, Accept-Language" }),
      async ({ ask, entries }) => {
        for (let i = 0; i < 300; i += 1)
          await ask("/", {
            fields: [
              ["User-Agent", `agent-${i}`],
              ["Accept-Language", `x-${i}`],
            ],
          });
        return entries() > 70;
      },
    ),
  "http: credentials, by a redirect to another origin and by another mode": async () => {
    assert(await takesCredentials(fetchByUrl), "no cache at all could be attacked so");
    const cache = createCache({ name: "shop" }).tier(memory()).build();
    const http = httpCache(cache.namespace("pages"), { mode: "private" });
    assert(!(await takesCredentials((base) => cachedFetch(http, base))), "it succeeds");
    await cache.close();
  },
  "http: a load for each request of a client": async () => {
    let loads = 0;
    const { listener, close } = hotset((_, response) => answer(response, String((loads += 1))));
    const server = createServer(listener).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    for (const value of ["max-age=60", "no-cache", "no-store", "max-age=0"])
      await asked(port, "/", {
        fields: [
          ["Cache-Control", value],
          ["Pragma", "no-cache"],
        ],
      });
    server.close();
    await close();
    assert.equal(loads, 1);
  },
  async "http: entries that someone else wrote"({ urls }) {
    const open = () => createCache({ name: "shop" }).tier(redis(urls.single).build()).build();
    const [writer, reader] = [open(), open()];
    const http = httpCache(reader.namespace("pages"), { base: "http://shop.example" });
    const url = "http://shop.example/page";
    const freshness = { lifetimeMs: 60_000, initialAgeMs: 0, staleWhileRevalidateMs: 0, staleIfErrorMs: 0 };
    const entry = {
      ...{
        kind: "response",
        format: 1,
        status: 200,
        statusText: "",
        fields: [["x-evil", "1"]],
        target: url,
        selects: "",
      },
      ...{ freshness, bodyBytes: 4, body: { bytes: Buffer.from("evil") }, receivedBy: "", receivedAt: 0 },
    };
    const read = async (forged: {} | null): Promise<string> => {
      await writer.namespace("pages").set(url, forged, { ttl: "1m" });
      const origin = () => ({ status: 200, statusText: "", fields: [], body: Buffer.from("page") });
      const { body, fields } = await http.answer({ method: "GET", url, fields: [], hasBody: false }, origin);
      return `${fields.join("\n")} ${await new Response(body as Uint8Array<ArrayBuffer>).text()}`;
    };
    assert.match(await read(entry), /x-evil,1[^]*evil$/, "an entry could not be forged at all");
    const forged: readonly object[] = [
      { fields: [["x-evil", "1\r\nset-cookie: id=evil"]] },
      { fields: [["x-evil\r\nset-cookie: id", "evil"]] },
      { fields: [["x-evil"]] },
      { fields: { "x-evil": "1" } },
      { fields: [["x-evil", 1]] },
      { statusText: "OK\r\nx-evil: 1" },
      { status: 99 },
      { status: 1e9 },
      { status: "200" },
      { body: { bytes: "evil" } },
      { body: { key: 1 } },
      { body: { key: "no such body" } },
      { bodyBytes: -1, body: { key: "no such body" } },
      { freshness: undefined },
      { freshness: { ...freshness, lifetimeMs: "60000" } },
      { target: "http://shop.example/other" },
      // An older and a newer version.
      { format: 0 },
      { format: 2 },
      { kind: "index" },
      { kind: "index", generation: "a", selecting: ["x"], variants: ["a"], languages: {} },
    ];
    for (const change of forged) {
      const page = await read({ ...entry, ...change });
      assert(page.endsWith("page") && !page.includes("evil"), `${JSON.stringify(change)}: ${page}`);
    }
    for (const other of ["evil", 1, null, [entry], { evil: entry }]) assert.match(await read(other), /page$/);
    await Promise.all([writer.close(), reader.close()]);
  },
};
