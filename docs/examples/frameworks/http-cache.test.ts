// Nest behind the HTTP cache, on both of its platforms.

import { join } from "node:path";
import { httpCache, type HttpCache } from "@hotset/http";
import { createCache, memory } from "hotset";
import { describe, expect, it } from "vitest";
import { send } from "./service-process.ts";

interface Application {
  listen(port: number, host: string): Promise<{ address(): { readonly port: number } }>;
  close(): Promise<void>;
}

const programs = (await import(join(import.meta.dirname, "nest/http.ts"))) as Readonly<
  Record<"onExpress" | "onFastify", (pages: HttpCache) => Promise<Application>>
>;

describe("Nest", () => {
  it.each(["onExpress", "onFastify"] as const)(
    "H87 H88 %s answers from the cache, and a PUT ends what is stored of its URL",
    async (name) => {
      await using cache = createCache({ name: "shop" }).tier(memory()).build();
      const pages = httpCache(cache.namespace("pages"), { base: "http://shop.example" });
      const app = await programs[name](pages);
      const { port } = (await app.listen(0, "127.0.0.1")).address();
      const get = async (path: string, headers = {}): Promise<readonly unknown[]> => {
        const answer = await send(port, "GET", path, { headers });
        const status = answer.headers["cache-status"] as string | undefined;
        return [answer.status, status?.split(";")[1]?.trim(), answer.body];
      };
      try {
        const [status, forwarded, body] = await get("/prices/p1");
        expect([status, forwarded, JSON.parse(body as string)]).toMatchObject([200, "fwd=uri-miss", { sku: "p1" }]);
        expect(await get("/prices/p1")).toEqual([200, "hit", body]);
        expect((await get("/prices/none"))[0]).toBe(404);
        expect((await send(port, "PUT", "/prices/p1", { json: { cents: 7 } })).status).toBe(200);
        const [, again, changed] = await get("/prices/p1");
        expect([again, JSON.parse(changed as string)]).toMatchObject(["fwd=uri-miss", { cents: 7 }]);
        expect(await get("/prices/p1")).toEqual([200, "hit", changed]);
      } finally {
        await app.close();
      }
    },
  );
});
