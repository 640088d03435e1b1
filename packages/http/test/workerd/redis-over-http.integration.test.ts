/** Redis over HTTP from workerd, the runtime of Cloudflare Workers, without modules of Node. */
import { join } from "node:path";
import { startRestProxy, randomPrefix, type RestProxy } from "@hotset/test-servers";
import { afterAll, assert, beforeAll, expect, inject, it } from "vitest";
import { bundleForWorker, startWorkerd, type Workerd } from "./workerd.ts";

const COMPATIBILITIES = [
  { date: "2024-10-20", flags: [] },
  { date: "2026-04-20", flags: [] },
  { date: "2026-11-17", flags: ["nodejs_compat"] },
] as const;

let proxy: RestProxy;
let workerd: Workerd | undefined;

const PROGRAM = (url: string, prefix: string): string => `
import { createCache, json } from "@hotset/core";
import { memory } from "@hotset/memory";
import { http, redis } from "@hotset/redis/http";

const errors = [];
const open = (layout) => {
  const cache = createCache({ name: "shop" })
    .tier(memory({ maxBytes: "16mb" }))
    .tier(redis(http({ url: "${url}", token: "secret" })).keyPrefix("${prefix}" + layout).layout(layout).valueFormat(json())
      .responseTimeout("20s").build())
    .defaults({ ttl: "10m", localTtl: 0, loadTimeout: "30s" })
    .build();
  cache.on("backend:error", ({ error }) => errors.push(String(error)));
  return cache;
};
const caches = {};
const load = async () => {
  await new Promise((resolve) => setTimeout(resolve, 30));
  return "é" + crypto.randomUUID();
};
const CALLS = {
  get: (cache, key) => cache.getOrSet(key, load, { tags: ["t" + key] }),
  delete: (cache, key) => cache.delete(key),
  tag: (cache, key) => cache.invalidateTags("t" + key),
  errors: () => errors,
  stream: () => {
    try {
      redis(http({ url: "${url}", token: "secret" })).valueFormat(json()).coherence("pubsub").build();
    } catch (error) {
      return String(error);
    }
  },
  set: (cache, key) => cache.set(key, "set"),
};
export default {
  async fetch(request, env, context) {
    const [, layout, call, key] = new URL(request.url).pathname.split("/");
    const answer = Promise.resolve(CALLS[call]((caches[layout] ??= open(layout)), key));
    context.waitUntil(answer.catch(() => undefined));
    return Response.json((await answer) ?? null);
  },
};
`;

beforeAll(async () => {
  proxy = await startRestProxy({ redisPort: Number(new URL(inject("redisUrl")).port) });
  const code = await bundleForWorker(PROGRAM(proxy.url, randomPrefix()), join(import.meta.dirname, "../.."));
  assert.notMatch(code, /require\(|from\s*"node:|import\(|@redis\/client/);
  workerd = await startWorkerd(code, COMPATIBILITIES);
});

afterAll(async () => {
  workerd?.[Symbol.dispose]();
  await proxy.close();
});

const ask = async (url: string): Promise<unknown> => {
  const response = await fetch(url, { signal: AbortSignal.timeout(60_000) });
  return response.ok ? response.json() : `${response.status} ${await response.text()}`;
};

it.for(["full", "string"])(
  "C743 workers share values, load once for all, and see each other's deletes, tags and values: layout %s",
  async (layout) => {
    const [first, second, third] = workerd!.urls.map((url) => `${url}/${layout}`) as [string, string, string];
    const together = [first, second, third, first, second, third].map((url) => ask(`${url}/get/user`));
    const values = await Promise.all(together);
    for (const url of [first, second, third]) expect(await ask(`${url}/errors`)).toEqual([]);
    expect(new Set(values).size).toBe(1);
    const value = await ask(`${second}/get/user`);
    expect(await ask(`${first}/delete/user`)).toEqual({ status: "deleted" });
    const after = await ask(`${second}/get/user`);
    expect(after).not.toBe(value);
    expect(await ask(`${third}/get/user`)).toBe(after);
    expect(await ask(`${third}/tag/user`)).toEqual({ status: "done" });
    expect(await ask(`${first}/get/user`)).not.toBe(after);
    expect(await ask(`${second}/set/user`)).toMatchObject({ status: "stored" });
    expect(await ask(`${first}/get/user`)).toBe("set");
    for (const url of [first, second, third]) expect(await ask(`${url}/errors`)).toEqual([]);
  },
);

it("copies that follow changes are refused in a worker, whose streams end with its request", async () => {
  for (const url of workerd!.urls)
    expect(await ask(`${url}/full/stream`)).toMatch(
      /^ConfigurationError: redis: coherence\("pubsub"\) over HTTP keeps a stream open, which ends with the request/,
    );
});
