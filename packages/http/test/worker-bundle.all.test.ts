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

export async function program() {
  const cache = createCache({ name: "shop", redactKeys: true }).tier(memory({ maxEntries: 100 })).build();
  let loads = 0;
  const value = () => cache.getOrSet("user:1", async () => ({ name: "Ada", load: ++loads }), { ttl: "1h", tags: ["users"] });
  const together = await Promise.all([value(), value(), value()]);
  const stored = await value();
  await cache.invalidateTags("users");
  const anew = await value();

  let runs = 0;
  const handler = cachedHandler(httpCache(cache.namespace("pages"), { base: "https://shop.example" }), () => {
    runs += 1;
    return new Response("page " + runs, { headers: { "cache-control": "max-age=60" } });
  });
  const ask = async () => {
    const answer = await handler(new Request("https://shop.example/books"));
    return [await answer.text(), answer.headers.get("cache-status")];
  };
  const pages = [await ask(), await ask()];
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
    const context = createContext({ ...globals });
    const found: unknown = await runInContext(`${code}\nworker.program()`, context);
    expect(JSON.parse(JSON.stringify(found))).toEqual({
      loads: 2,
      together: Array.from({ length: 3 }, () => ({ name: "Ada", load: 1 })),
      stored: { name: "Ada", load: 1 },
      anew: { name: "Ada", load: 2 },
      pages: [
        ["page 1", expect.stringContaining("fwd=")],
        ["page 1", expect.stringMatching(/hit|collapsed/)],
      ],
      runs: 1,
      inherits: expect.stringContaining("inherit needs AsyncLocalStorage"),
    });
  });
});
