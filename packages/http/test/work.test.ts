import { createCache } from "@hotset/core";
import { httpCache, type FieldLines, type HttpCacheOptions, type PlainOrigin } from "@hotset/http";
import { purgeHandler } from "@hotset/http/fetch";
import { memory } from "@hotset/memory";
import { describe, expect, it, onTestFinished } from "vitest";

/** No request may cost more than so many times one without anything long in it. */
const MOST_TIMES = 20;
/** As long as servers let them be: Node takes 16 KB of head by default. */
const LONGEST_URL = 8_000;
const LONGEST_FIELD = 16_000;

const PIECES = [
  ...["a", "a,", "a;", "a;q=0.1,", ",", ";", ":", '"', 'W/"a",', 'a="', "/", "a/", "//", "../", "%41", "%", "?", "&"],
  ...["=", "a=b&", "utm_a=1&", "sid=1;", "bytes=", "1-,", " ", "\t", "no-cache,", "Sun, 06 Nov 1994 08:49:37 GMT,"],
];
const FIELDS = [
  ...["accept", "accept-encoding", "accept-language", "cache-control", "connection", "cookie", "host", "if-match"],
  ...["if-modified-since", "if-none-match", "if-range", "pragma", "range", "user-agent", "x-any", "x-key", "x-vary"],
  ...["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"],
];
const SERVER = { base: "https://shop.example" };
const SITES: Readonly<Record<string, HttpCacheOptions>> = {
  "one rule for all": SERVER,
  "keys of each kind": {
    ...SERVER,
    pathTags: true,
    noVarySearch: true,
    key: { query: { except: ["utm_*"] }, sortQuery: true, header: ["x-key"], cookie: ["sid"] },
  },
  "rules that look at everything": {
    ...SERVER,
    rules: [
      {
        match: {
          path: ["/a/{b}/{c}", "/static/{rest}*"],
          header: { cookie: { regex: "(^|; )sid=" } },
          query: { q: "1" },
        },
        pass: true,
      },
      {},
    ],
  },
  "behind a proxy": { hosts: ["https://shop.example"], trustProxy: true },
};

const page: PlainOrigin = () => ({
  status: 200,
  statusText: "",
  fields: [
    ["cache-control", "max-age=60"],
    ["etag", '"1"'],
    ["last-modified", "Wed, 01 Jan 2020 00:00:00 GMT"],
    ["vary", "accept, accept-encoding, accept-language, x-vary"],
  ],
  body: new Uint8Array(3),
});

const times = (piece: string, length: number): string =>
  piece.repeat(Math.ceil(length / piece.length)).slice(0, length);

/** Milliseconds of the processor, which other work on the machine does not lengthen. */
async function costOf(run: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

describe.each(Object.entries(SITES))("H105 %s", (_, options) => {
  it("no request costs much more than a bare one, whatever it is filled with", async () => {
    const cache = createCache({ name: "shop" }).tier(memory()).build();
    onTestFinished(() => cache.close());
    const http = httpCache(cache.namespace("http"), options);
    let requests = 0;
    const ask = (rest: string, fields: FieldLines = []): Promise<number> => {
      const url = `https://shop.example/${requests++}${rest}`;
      const host = fields.some(([name]) => name === "host") ? [] : [["host", "shop.example"] as const];
      return costOf(() => http.answer({ method: "GET", url, fields: [...host, ...fields], hasBody: false }, page));
    };
    const least = async (costs: () => Promise<number>, tries: number): Promise<number> => {
      const all: number[] = [];
      for (let i = 0; i < tries; i++) all.push(await costs());
      return Math.min(...all);
    };
    const bare = (): Promise<number> => ask("?a=b", [["accept-language", "de"]]);
    for (let i = 0; i < 200; i++) await bare();
    const over: string[] = [];
    for (const piece of PIECES) {
      const path = times(piece, LONGEST_URL);
      const value = times(piece, LONGEST_FIELD);
      const requestsOf: Record<string, () => Promise<number>> = {
        path: () => ask(path),
        "path with a slash at its end": () => ask(`${path}/`),
        query: () => ask(`?${path}`),
        "query with a slash at its end": () => ask(`?${path}/`),
        ...Object.fromEntries(FIELDS.map((name) => [name, () => ask("", [[name, `${value}x`]])])),
      };
      const bareMs = await least(bare, 9);
      for (const [place, costs] of Object.entries(requestsOf)) {
        if ((await costs()) <= MOST_TIMES * bareMs) continue;
        // A collection of garbage may fall into one, and the machine may have become slower.
        const ms = await least(costs, 5);
        const nowMs = Math.max(bareMs, await least(bare, 5));
        if (ms > MOST_TIMES * nowMs) over.push(`${place} of ${JSON.stringify(piece)}: ${ms} ms, bare ${nowMs}`);
      }
    }
    expect(over).toEqual([]);
  });
});

it("H105 a key whose fields are too long for one is forwarded, and fails no request", async () => {
  const cache = createCache({ name: "shop" }).tier(memory()).build();
  onTestFinished(() => cache.close());
  const http = httpCache(cache.namespace("http"), { ...SERVER, key: { header: ["x-key"] } });
  const fields = [["x-key", '"'.repeat(40_000)]] as const;
  const answer = await http.answer({ method: "GET", url: "https://shop.example/", fields, hasBody: false }, page);
  expect([answer.status, answer.fields.find(([name]) => name === "cache-status")?.[1]]).toEqual([
    200,
    "hotset; fwd=bypass; fwd-status=200; detail=limits",
  ]);
});

it("H105 a purge names at most a thousand things, and costs no more than those", async () => {
  const cache = createCache({ name: "shop" }).tier(memory()).build();
  onTestFinished(() => cache.close());
  const purge = purgeHandler(httpCache(cache.namespace("http"), { ...SERVER, pathTags: true }), {
    authorize: () => true,
  });
  const post = (order: object): Promise<Response> =>
    purge(new Request("https://shop.example/purge", { method: "POST", body: JSON.stringify(order) }));
  const tags = (count: number): readonly string[] => Array.from({ length: count }, (_, i) => `t${i}`);
  expect((await post({ tags: tags(1_000) })).status).toBe(200);
  for (const order of [{ tags: tags(1_001) }, { urls: tags(600), prefixes: tags(401) }]) {
    const response = await post(order);
    expect([response.status, await response.json()]).toEqual([
      400,
      { error: "more than 1000 tags, urls and prefixes" },
    ]);
  }
});
