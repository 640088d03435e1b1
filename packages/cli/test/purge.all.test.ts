import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { httpCache, type HttpCache, type HttpCacheOptions, type PlainOrigin } from "@hotset/http";
import { purgeHandler } from "@hotset/http/fetch";
import { startOwnRedis, temporaryDirectory } from "@hotset/test-servers";
import { createCache, memory, redis as backend } from "hotset";
import { describe, expect, it, onTestFinished } from "vitest";
import { inProcess, json } from "./hotset.ts";

/** One process of a service: its memory over Redis. */
function open(url: string, options: HttpCacheOptions = {}, coherence: "tracking" | "pubsub" = "tracking"): HttpCache {
  const cache = createCache({ name: "shop" })
    .tier(memory({ maxEntries: 1_000 }))
    .tier(backend(url).coherence(coherence).build())
    .build();
  onTestFinished(() => cache.close());
  return httpCache(cache.namespace("pages"), { pathTags: true, ...options });
}

let loads = 0;
const origin: PlainOrigin = () => ({
  status: 200,
  statusText: "",
  fields: [
    ["cache-control", "max-age=600, stale-while-revalidate=600"],
    ["cache-tag", "books"],
    ["vary", "accept"],
  ],
  body: new TextEncoder().encode(`${++loads}`),
});

async function ask(http: HttpCache, path: string, accept = "text/html"): Promise<string> {
  const fields = [
    ["accept", accept],
    ["x-tenant", "acme"],
  ] as const;
  const request = { method: "GET", url: `https://shop.example${path}`, fields, hasBody: false };
  const { body } = await http.answer(request, origin);
  return new Response(body as Uint8Array<ArrayBuffer>).text();
}

describe("H75: hotset purge, in Redis", () => {
  const IN_REDIS = ["purge", "shop", "--namespace", "pages"];

  it.each<[string, readonly string[]]>([
    ["a URL, with its variants", ["https://shop.example/books/1"]],
    ["a tag", ["--tag", "books"]],
    ["a path and what is below", ["--below", "https://shop.example/books"]],
  ])("removes by %s, in every process, and nothing without --write", async (_, words) => {
    await using server = await startOwnRedis();
    const variables = { REDIS_URL: server.url };
    const [here, there] = [open(server.url), open(server.url)];
    const all = (): Promise<readonly string[]> =>
      Promise.all([here, there].flatMap((http) => ["text/html", "text/plain"].map((a) => ask(http, "/books/1", a))));
    const before = new Set(await all());
    expect(new Set(await all())).toEqual(before);
    const refused = await inProcess([...IN_REDIS, ...words], variables);
    expect([refused.exitCode, refused.stderr]).toEqual([
      2,
      "hotset: purge removes responses; add --write; see hotset purge --help\n",
    ]);
    expect(new Set(await all())).toEqual(before);
    expect(await json([...IN_REDIS, ...words, "--write"], variables)).toMatchObject({ exitCode: 0, status: "done" });
    await expect.poll(async () => (await all()).filter((body) => before.has(body))).toEqual([]);
  });

  it("makes stale with --soft, and reaches tenants, query rules and processes over pub/sub", async () => {
    await using server = await startOwnRedis();
    const variables = { REDIS_URL: server.url };
    const rules = [{ key: { query: ["page"] } }];
    const tenants = { rules, partition: () => "acme" };
    const [here, there] = [open(server.url, tenants, "pubsub"), open(server.url, tenants, "pubsub")];
    const first = await ask(here, "/list?page=2&utm=x");
    expect(await ask(there, "/list?page=2")).toBe(first);
    const file = join(await temporaryDirectory("rules"), "rules.json");
    writeFileSync(file, JSON.stringify(rules));
    const words = [...IN_REDIS, "https://shop.example/list?utm=y&page=2", "--rules", file, "--pubsub", "--write"];
    expect((await inProcess([...words, "--soft"], variables)).stdout).toBe(
      "made stale  what was stored of these, in every process\nURLs        1\ntags        0\npaths       0\n",
    );
    // Served once more, and refreshed behind the answer.
    await expect.poll(() => ask(there, "/list?page=2")).not.toBe(first);
    const second = await ask(there, "/list?page=2");
    expect((await inProcess(words, variables)).exitCode).toBe(0);
    await expect.poll(() => ask(there, "/list?page=2")).not.toBe(second);
  });
});

describe("H76: hotset purge, through the service", () => {
  async function listen(http: HttpCache): Promise<string> {
    const authorize = (request: Request): boolean => request.headers.get("authorization") === "Bearer of-a-purge";
    const handler = purgeHandler(http, { authorize });
    const server: Server = createServer((incoming, outgoing) => {
      void requestOf(incoming).then(async (request) => {
        const answer = await handler(request);
        outgoing.writeHead(answer.status).end(await answer.text());
      });
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  async function requestOf(incoming: IncomingMessage): Promise<Request> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const { method = "", url = "", headers } = incoming;
    const body = Buffer.concat(chunks);
    return new Request(`https://shop.example${url}`, {
      method,
      headers: { authorization: headers.authorization ?? "" },
      ...(body.length > 0 && { body }),
    });
  }

  it("sends JSON to an endpoint, or PURGE to each URL, with the token of the environment", async () => {
    const cache = createCache({ name: "shop" }).tier(memory()).build();
    onTestFinished(() => cache.close());
    const http = httpCache(cache.namespace("pages"), { pathTags: true });
    const url = await listen(http);
    const variables = { PURGE_TOKEN: "of-a-purge" };
    const purges: readonly (readonly string[])[] = [
      ["https://shop.example/books/1", "--endpoint", url],
      ["--tag", "books", "--soft", "--endpoint", url],
      ["--below", "https://shop.example/books", "--endpoint", url],
      [`${url}/books/1`, "--send"],
    ];
    for (const words of purges) {
      const before = await ask(http, "/books/1");
      const { exitCode, stderr } = await inProcess(["purge", ...words, "--write"], variables);
      expect([words, exitCode, stderr]).toEqual([words, 0, ""]);
      await expect.poll(() => ask(http, "/books/1")).not.toBe(before);
    }
    const refused = await inProcess(["purge", "--tag", "books", "--endpoint", url, "--write"]);
    expect([refused.exitCode, refused.stderr]).toEqual([4, `hotset: ${url} refused with 403: not authorized\n`]);
    const unanswered = await inProcess(["purge", "--tag", "books", "--endpoint", "http://127.0.0.1:1/", "--write"]);
    expect([unanswered.exitCode, unanswered.stderr]).toEqual([
      3,
      "hotset: http://127.0.0.1:1 did not answer; what was sent may have been done\n",
    ]);
  });
});

it.each<[readonly string[], string]>([
  [[], "the name of the cache is missing"],
  [["shop"], "name what to purge: a URL, --tag or --below"],
  [["https://shop.example/"], "the first word is the name of the cache"],
  [["shop", "/books/1"], 'must be a URL such as https://shop.example/books/1, got "/books/1"'],
  [["shop", "--below", "/books"], "--below must be a URL"],
  [["--tag", "a", "--endpoint", "x"], "--endpoint must be a URL"],
  [["--tag", "a", "--send"], "use --endpoint for tags"],
  [["https://shop.example/", "--send", "--prefix", "app"], "--prefix is for a purge in Redis"],
  [["https://shop.example/", "--send", "--endpoint", "http://a/"], "--send or --endpoint, not both"],
  [["shop", "--tag", "a", "--rules", "/nowhere.json"], "--rules cannot be used: ENOENT"],
])("wrong words are refused before anything is sent: %j", async (words, sentence) => {
  const { exitCode, stdout, stderr } = await inProcess(["purge", ...words, "--write"], {
    REDIS_URL: "redis://127.0.0.1:1",
  });
  expect([exitCode, stdout, stderr]).toEqual([2, "", expect.stringContaining(sentence)]);
});
