// Each program is started as its users start it, under load, through a crash of Redis, and stopped by SIGTERM.

import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort, isNightly, startOwnRedis, until } from "@hotset/test-servers";
import { describe, expect, it, vi } from "vitest";
import { arrived, PROGRAMS, send, start } from "./service-process.ts";

/** The build of Next takes as long as all others together. The others are started without Redis each time. */
const STARTED = Object.entries(PROGRAMS).filter(([name]) => isNightly || name === "express");

describe("frameworks", () => {
  it.each(STARTED)(
    "%s serves without a failed request while Redis is killed and comes back, and stops by SIGTERM",
    async (_name, program) => {
      await program.prepare?.();
      await using redis = await startOwnRedis();
      const port = await freePort();
      await using service = await start(program, port, redis.url);
      const price = async (sku: string): Promise<unknown> =>
        (JSON.parse((await send(port, "GET", `/products/${sku}`)).body) as { cents: unknown }).cents;

      expect((await send(port, "GET", "/products/none")).status).toBe(404);
      expect(await price("p1")).toBe(100);
      expect((await send(port, "PUT", "/products/p1/price/7")).status).toBe(204);
      expect(await price("p1")).toBe(7);

      const traffic = startTraffic(port);
      await sleep(500);
      await redis.kill();
      await sleep(1_500);
      await redis.start();
      await until("an entry in the new Redis", async () => Number(await redis.command("DBSIZE")) > 0);
      await until("more than a hundred answers", async () => traffic.answered() > 100);
      expect(await traffic.stop()).toEqual([]);

      const inFlight = await Promise.all(
        Array.from({ length: 10 }, (_, index) => arrived(port, `/products/p${900 + index}`)),
      );
      service.kill("SIGTERM");
      expect(await Promise.all(inFlight.map(async ({ answer }) => (await answer).status))).toEqual(
        inFlight.map(() => 200),
      );
      expect(await service.ended).toBe(program.exitCode);
    },
  );

  it("the route handlers of next answer from the cache, and a changed price is seen at once", async () => {
    await using redis = await startOwnRedis();
    vi.stubEnv("REDIS_URL", redis.url);
    const { GET } = await handlersOf("products/[sku]");
    const { PUT } = await handlersOf("products/[sku]/price/[cents]");
    const { cache } = (await import(join(NEXT, "cache.ts"))) as { cache: AsyncDisposable };
    await using _closed = cache;
    vi.unstubAllEnvs();
    const request = new Request("http://shop.example");
    const get = async (sku: string): Promise<readonly unknown[]> => {
      const answer = await GET!(request, { params: Promise.resolve({ sku }) });
      const body = await answer.text();
      return [answer.status, answer.headers.get("cache-status"), body === "" ? undefined : JSON.parse(body)];
    };

    const p1 = { sku: "p1", name: "Product 1", cents: 100 };
    expect(await get("none")).toEqual([404, "shop; fwd=miss", undefined]);
    expect(await get("p1")).toEqual([200, "shop; fwd=miss", p1]);
    expect(await get("p1")).toEqual([200, "shop; hit", p1]);
    expect((await PUT!(request, { params: Promise.resolve({ sku: "p1", cents: "7" }) })).status).toBe(204);
    expect(await get("p1")).toEqual([200, "shop; fwd=miss", { ...p1, cents: 7 }]);
  });
});

const NEXT = join(import.meta.dirname, "next");

type Handler = (request: Request, context: { readonly params: Promise<object> }) => Promise<Response>;

const handlersOf = async (route: string): Promise<Readonly<Record<string, Handler>>> =>
  (await import(join(NEXT, "app", route, "route.ts"))) as Record<string, Handler>;

interface Traffic {
  /** Ends it. @returns what failed */
  stop(): Promise<readonly string[]>;
  answered(): number;
}

/** Eight visitors, each with one request at a time. */
function startTraffic(port: number): Traffic {
  const failures: string[] = [];
  let isStopped = false;
  let answered = 0;
  const visit = async (visitor: number): Promise<void> => {
    for (let visits = 0; !isStopped; visits += 1) {
      const path = `/products/p${((visitor * 7 + visits * 3) % 200) + 1}`;
      try {
        const { status } = await send(port, "GET", path);
        if (status === 200) answered += 1;
        else failures.push(`${path}: ${status}`);
      } catch (error) {
        failures.push(`${path}: ${String(error)}`);
      }
    }
  };
  const visitors = Promise.all(Array.from({ length: 8 }, (_, visitor) => visit(visitor)));
  return {
    answered: () => answered,
    stop: async () => {
      isStopped = true;
      await visitors;
      return failures;
    },
  };
}
