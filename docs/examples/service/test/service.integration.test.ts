import { once } from "node:events";
import { request, type ClientRequest, type IncomingMessage } from "node:http";
import { json } from "node:stream/consumers";
import { startOwnRedis, until, type OwnRedis } from "@hotset/test-servers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readSettings } from "../src/settings.ts";
import { run, startService, statusOf, untilReady } from "./service.ts";

let cache: OwnRedis;
let durable: OwnRedis;
let variables: Readonly<Record<string, string>>;
beforeAll(async () => {
  [cache, durable] = await Promise.all([startOwnRedis(), startOwnRedis()]);
  variables = { CACHE_REDIS_URL: cache.url, REDIS_URL: durable.url };
});
afterAll(async () => Promise.all([cache.stop(), durable.stop()]));

/** An order whose body has not been sent: the service has accepted it, and said so. */
async function openOrder(url: string, key: string): Promise<ClientRequest> {
  const sent = request(`${url}/orders`, {
    method: "POST",
    agent: false,
    headers: { expect: "100-continue", "idempotency-key": key, "content-type": "application/json" },
  });
  await once(sent, "continue");
  return sent;
}

async function finish(order: ClientRequest): Promise<{ readonly status: number; readonly body: unknown }> {
  order.end(JSON.stringify({ sku: "p7", quantity: 2 }));
  const [response] = (await once(order, "response")) as [IncomingMessage];
  return { status: response.statusCode ?? 0, body: await json(response) };
}

describe("the service", () => {
  it("R3-12: serves products, orders, limits and metrics", async () => {
    await using service = await startService(variables);
    expect(await (await fetch(`${service.url}/products/p7`)).json()).toEqual({ sku: "p7", cents: 700 });
    expect(await statusOf(`${service.url}/products/none`)).toBe(404);
    const first = await finish(await openOrder(service.url, "order-number-1"));
    expect(first).toMatchObject({ status: 202, body: { status: "added" } });
    const { id } = first.body as { id: string };
    // Its answer was lost, say.
    expect(await finish(await openOrder(service.url, "order-number-1"))).toEqual({
      status: 202,
      body: { status: "duplicate", id },
    });
    await expect
      .poll(async () => (await fetch(`${service.url}/orders/${id}`)).json())
      .toEqual({ state: "completed", result: "2 of p7" });
    const metrics = await (await fetch(`${service.url}/metrics`)).text();
    expect(metrics).toContain('cache_requests_total{cache="shop",result="miss"} 2');
    expect(metrics).toContain('redis_queue_jobs{queue="orders",state="completed"} 1');
    const burst = await Promise.all(Array.from({ length: 300 }, () => statusOf(`${service.url}/products/p7`)));
    expect(new Set(burst)).toEqual(new Set([200, 429]));
  });

  it("R3-12: is not ready within its bound while Redis does not answer, and lives on", async () => {
    await using service = await startService(variables);
    await untilReady(service);
    durable.pause();
    expect(await statusOf(`${service.url}/ready`)).toBe(503);
    expect(await statusOf(`${service.url}/live`)).toBe(200);
    const probe = { PORT: `${service.port}` };
    expect(await run("probe.ts", probe).ended).toBe(1);
    durable.resume();
    await untilReady(service);
    expect(await run("probe.ts", probe).ended).toBe(0);
  });

  it("is ready without the cache, and serves", async () => {
    await using service = await startService(variables);
    cache.pause();
    try {
      expect(await statusOf(`${service.url}/products/p8`)).toBe(200);
      await untilReady(service);
    } finally {
      cache.resume();
    }
  });

  it("R3-12: SIGTERM finishes what is under way, takes nothing new, and ends with 0", async () => {
    await using service = await startService({ ...variables, DRAIN_DELAY_MS: "3000", DRAIN_TIMEOUT_MS: "20000" });
    await untilReady(service);
    const order = await openOrder(service.url, "order-number-2");
    service.kill("SIGTERM");
    // The delay is for balancers that ask here.
    await until("not ready", async () => (await statusOf(`${service.url}/ready`)) === 503);
    await until("no new connections", async () => (await statusOf(`${service.url}/live`)) === 0);
    expect(await finish(order)).toMatchObject({ status: 202, body: { status: "added" } });
    expect(await service.ended).toBe(0);
    expect(await service.output).toMatch(/^listening.*\nSIGTERM: draining.*\n$/);
  });

  it("a second SIGTERM ends it at once", async () => {
    await using service = await startService(variables);
    const order = await openOrder(service.url, "order-number-3");
    const isCut = once(order, "error");
    service.kill("SIGTERM");
    await until("no new connections", async () => (await statusOf(`${service.url}/live`)) === 0);
    service.kill("SIGTERM");
    expect(await service.ended).toBe(143);
    await isCut;
  });

  it("what does not end within the bound is cut off, and it says so", async () => {
    await using service = await startService({ ...variables, DRAIN_TIMEOUT_MS: "700" });
    const order = await openOrder(service.url, "order-number-4");
    const isCut = once(order, "error");
    service.kill("SIGTERM");
    expect(await service.ended).toBe(1);
    expect(await service.output).toContain("not drained within DRAIN_TIMEOUT_MS: 700 ms");
    await isCut;
  });

  it.each([
    [{ PORT: "http" }, 'PORT must be a whole number from 0 to 65535, got "http"'],
    [{ DRAIN_DELAY_MS: "15000" }, "DRAIN_DELAY_MS must be below DRAIN_TIMEOUT_MS, which includes it, got 15000"],
  ])("does not start with %o", (given, message) => {
    expect(() => readSettings(given)).toThrow(message);
  });
});
