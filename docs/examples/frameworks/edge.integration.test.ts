// A cache over HTTP in the edge runtime that Next runs routes in with `runtime = "edge"`.

import { createRequire } from "node:module";
import { join } from "node:path";
import { randomPrefix, startRestProxy } from "@hotset/test-servers";
import { rolldown } from "rolldown";
import { expect, inject, it } from "vitest";

/** Next brings it along, without types. */
const { EdgeRuntime } = createRequire(import.meta.url)("next/dist/compiled/edge-runtime") as {
  readonly EdgeRuntime: new (options: { readonly initialCode: string }) => {
    dispatchFetch(url: string): Promise<Response>;
  };
};

const PROGRAM = (url: string, prefix: string): string => `
import { createCache, json } from "@hotset/core";
import { memory } from "@hotset/memory";
import { http, redis } from "@hotset/redis-http";

const open = () => createCache({ name: "shop" })
  .tier(memory({ maxBytes: "16mb" }))
  .tier(redis(http({ url: "${url}", token: "secret" })).keyPrefix("${prefix}").valueFormat(json()).responseTimeout("20s").build())
  .defaults({ ttl: "10m", localTtl: 0 })
  .build();
let cache;
let loads = 0;

addEventListener("fetch", (event) => {
  cache ??= open();
  const { pathname } = new URL(event.request.url);
  const answers = {
    "/price": () => cache.getOrSet("price", () => (loads += 1), { tags: ["prices"] }),
    "/end": () => cache.invalidateTags("prices").then(({ status }) => status),
    "/loads": async () => loads,
    "/node": async () => typeof process === "undefined" || process.version === undefined ? "none" : process.version,
  };
  const answer = answers[pathname]();
  event.waitUntil(answer.catch(() => undefined));
  event.respondWith(answer.then((value) => Response.json(value)));
});
`;

it("C743: two edge functions share values over HTTP, load once, and end them by a tag", async () => {
  await using proxy = await startRestProxy({ redisPort: Number(new URL(inject("redisUrl")).port) });
  const initialCode = await bundled(PROGRAM(proxy.url, randomPrefix()));
  const [a, b] = [new EdgeRuntime({ initialCode }), new EdgeRuntime({ initialCode })];
  const ask = async (runtime: InstanceType<typeof EdgeRuntime>, path: string): Promise<unknown> => {
    const response = await runtime.dispatchFetch(`https://shop.example${path}`);
    expect(response.status).toBe(200);
    return response.json();
  };
  expect([await ask(a, "/node"), await ask(b, "/node")]).toEqual(["none", "none"]);
  expect(await Promise.all([ask(a, "/price"), ask(a, "/price"), ask(b, "/price")])).toEqual([1, 1, 1]);
  expect([await ask(a, "/loads"), await ask(b, "/loads")].toSorted()).toEqual([0, 1]);
  expect(await ask(b, "/end")).toBe("done");
  await ask(a, "/price");
  expect(((await ask(a, "/loads")) as number) + ((await ask(b, "/loads")) as number)).toBe(2);
});

/** In one file, as a build of Next makes it. */
async function bundled(program: string): Promise<string> {
  const file = join(import.meta.dirname, "program.mjs");
  await using bundle = await rolldown({
    input: file,
    platform: "browser",
    checks: { invalidAnnotation: false },
    resolve: { conditionNames: ["@hotset/source", "import", "default"] },
    plugins: [
      { name: "program", load: (id) => (id === file ? program : null), resolveId: (id) => (id === file ? id : null) },
    ],
  });
  return (await bundle.generate({ format: "iife" })).output[0].code;
}
