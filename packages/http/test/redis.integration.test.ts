import { createCache, type Cache } from "@hotset/core";
import { v8 } from "@hotset/formats";
import {
  httpCache,
  type HttpCache,
  type HttpCacheOptions,
  type PlainOrigin,
  type PlainRequest,
  type PlainResponse,
} from "@hotset/http";
import { memory } from "@hotset/memory";
import { redis } from "@hotset/redis";
import { randomPrefix, RespClient } from "@hotset/test-servers";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";

const URL_OF_PAGE = "https://shop.example/page";
const FRESH = { "cache-control": "max-age=60", etag: '"a"' };

interface Process {
  readonly cache: Cache;
  readonly http: HttpCache;
}

let processes: Process[] = [];
let prefix = "";
beforeEach(() => {
  processes = [];
  prefix = randomPrefix();
});
afterEach(async () => {
  await Promise.all(processes.map(({ cache }) => cache.close()));
});

/** The cache of another process: with a memory and a connection of its own, over the same Redis. */
function open(options: HttpCacheOptions = {}): HttpCache {
  const cache = createCache({ name: "shop" })
    .tier(memory({ maxEntries: 1_000 }))
    .tier(redis(inject("redisUrl")).keyPrefix(prefix).valueFormat(v8()).responseTimeout("15s").build())
    .build();
  const http = httpCache(cache.namespace("http"), options);
  processes.push({ cache, http });
  return http;
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const page = (fields: Record<string, string>, body: Uint8Array, status = 200): PlainResponse => ({
  status,
  statusText: "",
  fields: Object.entries(fields),
  body,
});

async function get(http: HttpCache, origin: PlainOrigin, fields: Record<string, string> = {}): Promise<string> {
  const { body } = await http.answer(
    { method: "GET", url: URL_OF_PAGE, fields: Object.entries(fields), hasBody: false },
    origin,
  );
  return new Response(body as Uint8Array<ArrayBuffer> | null).text();
}

/** Until `work` loads nothing: a write may still be under way when its answer is there. */
const untilStored = (work: () => Promise<unknown>, loads: () => number): Promise<unknown> =>
  expect
    .poll(async () => {
      const before = loads();
      await work();
      return loads() - before;
    })
    .toBe(0);

const slow = (load: () => PlainResponse): PlainOrigin => {
  return async () => {
    const response = load();
    await new Promise((resolve) => setTimeout(resolve, 50));
    return response;
  };
};

describe("over Redis", () => {
  it.each([2, 8])("H61 loads one miss once in %d processes of ten callers", async (count) => {
    let loads = 0;
    const origin = slow(() => page(FRESH, bytes(`${++loads}`)));
    const https = Array.from({ length: count }, () => open());
    const bodies = await Promise.all(https.flatMap((http) => Array.from({ length: 10 }, () => get(http, origin))));
    expect([new Set(bodies), loads]).toEqual([new Set(["1"]), 1]);
  });

  it("H45 serves stale in all processes while one refreshes", async () => {
    let loads = 0;
    const stale = { "cache-control": "max-age=0, stale-while-revalidate=60" };
    const served = Promise.withResolvers<void>();
    const origin: PlainOrigin = async () => {
      loads += 1;
      if (loads === 1) return page(stale, bytes("1"));
      await served.promise;
      // Were it stale, too, a process that asks for the lease after this load would rightly load again.
      return page(FRESH, bytes(`${loads}`));
    };
    const https = [open(), open(), open()];
    await get(https[0]!, origin);
    await expect
      .poll(() => https[1]!.explain({ method: "GET", url: URL_OF_PAGE, fields: [], hasBody: false }))
      .toMatchObject({ outcome: "stale" });
    const bodies = await Promise.all(https.flatMap((http) => Array.from({ length: 10 }, () => get(http, origin))));
    expect(new Set(bodies)).toEqual(new Set(["1"]));
    served.resolve();
    // The refresh asks for its lease first. Closing waits for what is still running.
    await expect.poll(() => loads).toBe(2);
    await Promise.all(processes.map(({ cache }) => cache.close()));
    expect(loads).toBe(2);
  });

  it("H62 H64 callers of a page that is not stored do not queue, in 8 processes", async () => {
    let [loads, running, most] = [0, 0, 0];
    // Where one waited for another they would never be as many as the gate waits for.
    let [gateOf, opened] = [0, Promise.resolve()];
    let openGate = (): void => undefined;
    const load = slow(() => page({ "cache-control": "private" }, bytes(`${++loads}`)));
    const origin: PlainOrigin = async (...given) => {
      most = Math.max(most, (running += 1));
      if (running === gateOf) openGate();
      try {
        await opened;
        return await load(...given);
      } finally {
        running -= 1;
      }
    };
    const https = Array.from({ length: 8 }, () => open());
    const asks = https.flatMap((http) => Array.from({ length: 10 }, () => get(http, origin)));
    expect(new Set(await Promise.all(asks)).size).toBe(80);
    [most, gateOf] = [0, 8];
    opened = new Promise((resolve) => (openGate = resolve));
    await Promise.all(https.map((http) => get(http, origin)));
    expect(most).toBe(8);
    expect(loads).toBe(88);
  });

  it("H64 callers of 8 processes are at the origin at the same time, and the first storable answer ends that", async () => {
    let [waiting, loads] = [0, 0];
    let isStorable = false;
    const all = Promise.withResolvers<void>();
    // Where one waited for another they would never be eight.
    const origin: PlainOrigin = async () => {
      loads++;
      if (isStorable) return page(FRESH, bytes("shared"));
      if (loads > 1 && ++waiting === 8) all.resolve();
      if (loads > 1) await all.promise;
      return page({ "cache-control": "private" }, bytes(`${loads}`));
    };
    const https = Array.from({ length: 8 }, () => open());
    await get(https[0]!, origin);
    await Promise.all(https.map((http) => get(http, origin)));
    expect(loads).toBe(9);
    isStorable = true;
    await Promise.all(https.map((http) => get(http, origin)));
    await untilStored(
      () => Promise.all(https.map((http) => get(http, origin))),
      () => loads,
    );
  });

  it("H38 H72 H73 a change in one process is seen by the others, of every variant", async () => {
    let [version, loads] = [1, 0];
    const origin: PlainOrigin = ({ method }) => {
      loads += 1;
      return method === "GET" ? page({ ...FRESH, vary: "accept" }, bytes(`${version}`)) : page({}, bytes(""));
    };
    const [here, there] = [open(), open()];
    const all = async (): Promise<readonly string[]> =>
      Promise.all(["a", "b"].flatMap((accept) => [here, there].map((http) => get(http, origin, { accept }))));
    await untilStored(all, () => loads);
    version = 2;
    expect(await all()).toEqual(["1", "1", "1", "1"]);
    await here.answer({ method: "POST", url: URL_OF_PAGE, fields: [], hasBody: false }, origin);
    // Each other process drops its copies when the change is reported to it.
    await expect.poll(all).toEqual(["2", "2", "2", "2"]);
    version = 3;
    await there.purge(URL_OF_PAGE);
    await expect.poll(all).toEqual(["3", "3", "3", "3"]);
  });

  it("H74 H75 purges by tag in all processes", async () => {
    let loads = 0;
    const origin: PlainOrigin = () => page({ ...FRESH, "cache-tag": "books" }, bytes(`${++loads}`));
    const [here, there] = [open(), open()];
    await get(here, origin);
    expect(await get(there, origin)).toBe("1");
    await there.purgeTags(["books"]);
    await expect.poll(() => get(here, origin)).toBe("2");
  });

  it("H16 H56 keeps 1 MB of bytes, and bytes in fields, as they are", async () => {
    const body = new Uint8Array(1_048_576).map((_, i) => i % 256);
    const origin: PlainOrigin = () => page({ ...FRESH, "x-a": "caf\xe9" }, body);
    const [here, there] = [open(), open()];
    const ask = { method: "GET", url: URL_OF_PAGE, fields: [], hasBody: false };
    await here.answer(ask, origin);
    let answer!: PlainResponse;
    await expect
      .poll(
        async () => (answer = await there.answer(ask, origin)).fields.find(([name]) => name === "cache-status")?.[1],
      )
      .toMatch(/hit/);
    expect(answer.fields.find(([name]) => name === "x-a")?.[1]).toBe("caf\xe9");
    expect(Buffer.compare(answer.body as Uint8Array, body)).toBe(0);
  });
});

describe("what is left in Redis", () => {
  const BODY_BYTES = 20_000;
  const large = (fields: Record<string, string>): PlainResponse => page(fields, new Uint8Array(BODY_BYTES));
  const ask = async (http: HttpCache, response: PlainResponse, asked: Partial<PlainRequest> = {}): Promise<void> => {
    await http.answer({ method: "GET", url: URL_OF_PAGE, fields: [], hasBody: false, ...asked }, () => response);
  };

  /** Counts of bodies and of other entries, and the bytes of all of them, once no process holds a lease. */
  async function left(): Promise<{ readonly bodies: number; readonly heads: number; readonly bytes: number }> {
    const client = RespClient.fromUrl(inject("redisUrl"));
    try {
      const namesOf = async (): Promise<readonly string[]> =>
        (await client.command("KEYS", `${prefix}*`)) as readonly string[];
      let names = await namesOf();
      while (names.some((name) => name.includes("~lease:"))) names = await namesOf();
      const entries = names.filter((name) => /::(?:body|https|variant)/.test(name));
      const bytes = await Promise.all(entries.map((name) => client.command("MEMORY", "USAGE", name)));
      const bodies = entries.filter((name) => name.includes("body:")).length;
      return { bodies, heads: entries.length - bodies, bytes: bytes.map(Number).reduce((sum, each) => sum + each, 0) };
    } finally {
      client.close();
    }
  }
  const nothing = { bodies: 0, heads: 0, bytes: 0 };

  it("H97 1,000 reloads of a page leave its head and its body, and a purge nothing", async () => {
    const http = open();
    let loads = 0;
    const origin: PlainOrigin = () => {
      loads++;
      return large(FRESH);
    };
    while (loads < 1_000) {
      await http.answer({ method: "GET", url: URL_OF_PAGE, fields: [], hasBody: false, cache: "reload" }, origin);
      // One that comes while a load is being stored has the response of that.
      await new Promise((resolve) => setImmediate(resolve));
    }
    await expect.poll(left).toMatchObject({ bodies: 1, heads: 1 });
    expect((await left()).bytes).toBeLessThan(2 * BODY_BYTES);
    await http.purge(URL_OF_PAGE);
    await expect.poll(left).toEqual(nothing);
  });

  it.each<[string, (http: HttpCache) => Promise<unknown>]>([
    ["a smaller body", (http) => ask(http, page(FRESH, bytes("small")), { cache: "reload" })],
    ["an answer that is not stored", (http) => ask(http, large({ "cache-control": "no-store" }), { cache: "reload" })],
    ["an answer that varies", (http) => ask(http, page({ ...FRESH, vary: "accept" }, bytes("a")), { cache: "reload" })],
    ["a POST", (http) => ask(http, page({}, bytes("")), { method: "POST" })],
  ])("H97 no body outlives its head: %s", async (_, replace) => {
    const http = open();
    await ask(http, large(FRESH));
    await expect.poll(left).toMatchObject({ bodies: 1 });
    await replace(http);
    await expect.poll(left).toMatchObject({ bodies: 0 });
  });

  it("H97 variants beyond maxVariants, and those that cannot be found any longer, leave nothing", async () => {
    const http = open({ maxVariants: 8 });
    const varying = large({ ...FRESH, vary: "accept" });
    for (let i = 0; i < 12; i++) {
      await ask(http, varying, { fields: [["accept", `text/${i}`]] });
      await expect.poll(left).toMatchObject({ bodies: Math.min(i + 1, 8), heads: Math.min(i + 1, 8) + 1 });
    }
    // Another field selects as well from now on.
    await ask(http, large({ ...FRESH, vary: "accept, x-a" }), { fields: [["accept", "text/new"]] });
    await expect.poll(left).toMatchObject({ bodies: 0 });
  });

  it("H38 H97 a purge of a URL leaves none of its variants", async () => {
    const http = open();
    for (const [i, accept] of ["a", "b", "c"].entries()) {
      await ask(http, large({ ...FRESH, vary: "accept" }), { fields: [["accept", accept]] });
      await expect.poll(left).toMatchObject({ bodies: i + 1, heads: i + 2 });
    }
    // Redis knows of the last one before this process does.
    const indexed = async (): Promise<number | undefined> =>
      (await processes[0]!.cache.namespace("http").get<{ variants: readonly string[] }>(URL_OF_PAGE))?.variants.length;
    await expect.poll(indexed).toBe(3);
    await http.purge(URL_OF_PAGE);
    await expect.poll(left).toEqual(nothing);
  });

  it("H48 H97 an entry ends in proportion to its lifetime, with its body", async () => {
    await ask(open(), large({ "cache-control": "max-age=1" }));
    await expect.poll(left).toMatchObject({ bodies: 1, heads: 1 });
    const client = RespClient.fromUrl(inject("redisUrl"));
    const names = (await client.command("KEYS", `${prefix}*page`)) as string[];
    const lives = await Promise.all(names.map(async (name) => Number(await client.command("PTTL", name))));
    client.close();
    expect(names).toHaveLength(2);
    // 1 s fresh, and 100 s while the origin cannot be reached; the body as long again.
    expect(Math.max(...lives)).toBeLessThanOrEqual(2 * 101_000 + 60_000);
  });
});

it("H71 a Redis that refuses connections fails no request", async () => {
  const cache = createCache({ name: "shop" })
    .tier(memory({ maxEntries: 1_000 }))
    .tier(redis("redis://127.0.0.1:1").valueFormat(v8()).build())
    .build();
  const http = httpCache(cache.namespace("http"));
  processes.push({ cache, http });
  let loads = 0;
  const bodies = await Promise.all(Array.from({ length: 8 }, () => get(http, () => page(FRESH, bytes(`${++loads}`)))));
  expect(new Set(bodies)).toEqual(new Set(["1"]));
});
