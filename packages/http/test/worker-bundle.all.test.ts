import { join } from "node:path";
import { createContext, runInContext } from "node:vm";
import { rolldown } from "rolldown";
import { describe, expect, it } from "vitest";

/** As someone writes it for a worker. */
const PROGRAM = `
import { createCache } from "@hotset/core";
import { httpCache } from "@hotset/http";
import { cachedHandler } from "@hotset/http/fetch";
import { memory } from "@hotset/memory";

const cache = createCache({ name: "shop", redactKeys: true }).tier(memory({ maxEntries: 100 })).build();
let runs = 0;
const pagesOfShop = httpCache(cache.namespace("pages"), { base: "https://shop.example" });
const handler = cachedHandler(pagesOfShop, () => {
  runs += 1;
  return new Response("page " + runs, { headers: { "cache-control": "max-age=60", "cache-tag": "books" } });
});

export async function program() {
  let loads = 0;
  const value = () => cache.getOrSet("user:1", async () => ({ name: "Ada", load: ++loads }), { ttl: "1h", tags: ["users"] });
  const together = await Promise.all([value(), value(), value()]);
  const stored = await value();
  await cache.invalidateTags("users");
  const anew = await value();

  const ask = async () => {
    const answer = await handler(new Request("https://shop.example/books"));
    const status = answer.headers.get("cache-status");
    // The load has answered, and is about to store.
    if (status.endsWith("collapsed")) return ask();
    return (await answer.text()) + ": " + status.replace(/; ttl=.*/, "");
  };
  const pages = [await ask(), await ask()];
  await pagesOfShop.purgeTags(["books"]);
  pages.push(await ask());
  const inherits = await cache
    .getOrSet("user:2", () => 1, { ttl: "1h", inherit: true })
    .then(() => "none", (error) => error.message);
  await cache.close();
  return { loads, together, stored, anew, pages, runs, inherits };
}
`;

/** All that a worker has, of what the program and hotset use. */
const WEB = [
  "AbortController",
  "AbortSignal",
  "DOMException",
  "Event",
  "EventTarget",
  "Headers",
  "ReadableStream",
  "Request",
  "Response",
  "TextDecoder",
  "TextEncoder",
  "TransformStream",
  "URL",
  "URLSearchParams",
  "WritableStream",
  "btoa",
  "clearTimeout",
  "console",
  "crypto",
  "performance",
  "queueMicrotask",
  "setTimeout",
  "structuredClone",
] as const;

const refuse = (): never => {
  throw new Error("not before the first request");
};

/** Workers refuse these while a program is loaded. */
const BEFORE_THE_FIRST_REQUEST = { setTimeout: refuse, crypto: { getRandomValues: refuse, randomUUID: refuse } };

describe("H99: core, memory and http in a worker", () => {
  it("are a bundle without modules of Node, which runs with web globals alone", async () => {
    const bundle = await rolldown({
      input: "program",
      cwd: join(import.meta.dirname, ".."),
      platform: "browser",
      resolve: { conditionNames: ["@hotset/source", "import", "default"] },
      onLog: (_, { message }) => {
        throw new Error(message);
      },
      plugins: [
        {
          name: "program",
          resolveId: (id) => (id === "program" ? join(import.meta.dirname, "program.mjs") : undefined),
          load: (id) => (id.endsWith("program.mjs") ? PROGRAM : undefined),
        },
      ],
    });
    const { output } = await bundle.generate({ format: "iife", name: "worker" });
    expect(output).toHaveLength(1);
    const { code } = output[0];
    expect(code).not.toMatch(/require\(|from "node:|import\(/);

    const globals = Object.fromEntries(WEB.map((name) => [name, globalThis[name]]));
    const context = createContext({ ...globals, ...BEFORE_THE_FIRST_REQUEST });
    runInContext(code, context);
    Object.assign(context, globals);
    const found: unknown = await runInContext("worker.program()", context);
    expect(JSON.parse(JSON.stringify(found))).toEqual({
      loads: 2,
      together: Array.from({ length: 3 }, () => ({ name: "Ada", load: 1 })),
      stored: { name: "Ada", load: 1 },
      anew: { name: "Ada", load: 2 },
      pages: [
        "page 1: hotset; fwd=uri-miss; fwd-status=200; stored",
        "page 1: hotset; hit",
        "page 2: hotset; fwd=uri-miss; fwd-status=200; stored",
      ],
      runs: 2,
      inherits: expect.stringContaining("inherit needs AsyncLocalStorage"),
    });
  });
});
