import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createCache, type Cache, type CacheOptions } from "@hotset/core";
import { inspector, type InspectorOptions } from "@hotset/inspector";
import { inspectorListener } from "@hotset/inspector/node";
import { memory } from "@hotset/memory";
import { describe, expect, it, onTestFinished } from "vitest";
import { inProcess } from "./hotset.ts";

const QUIET = { error: () => {}, warn: () => {}, info: () => {} };

/** A service whose product 1 has changed at its source, and was not invalidated. */
async function service(
  options: Partial<CacheOptions>,
  inspecting: InspectorOptions = {},
): Promise<{ readonly url: string; readonly cache: Cache }> {
  const cache = createCache({ name: "shop", logger: QUIET, ...options })
    .tier(memory())
    .build();
  const inspect = inspector(cache, inspecting);
  const server = createServer(inspectorListener(inspect)).listen(0, "127.0.0.1");
  let cents = 100;
  const products = cache.namespace("products");
  const get = (id: number): Promise<unknown> =>
    products.getOrSet(`product:${id}`, () => ({ id, cents: id === 1 ? cents : 5 }), { ttl: "1h" });
  await Promise.all([get(1), get(2)]);
  cents = 200;
  const traffic = setInterval(() => void Promise.all([get(1), get(2)]), 10);
  onTestFinished(async () => {
    clearInterval(traffic);
    inspect.close();
    server.closeAllConnections();
    server.close();
    await cache.close();
  });
  await new Promise((resolve) => server.once("listening", resolve));
  return { url: `http://localhost:${(server.address() as AddressInfo).port}/hotset`, cache };
}

describe("C742: hotset verify", () => {
  it("compares values that a service serves with their source, and names those that differ", async () => {
    const { url } = await service({ verify: { share: 0, settle: 20 } });
    const { exitCode, stdout } = await inProcess(["verify", `${url}/`, "--sample", "6", "--per-minute", "6000"]);
    expect(stdout).toMatch(/^shop: [1-5] of 6 compared values differ from their source/);
    expect(stdout).toMatch(/products › product:1 +cents +unclear/);
    expect(stdout).not.toContain("product:2");
    expect(stdout).not.toContain("200");
    expect(exitCode).toBe(1);
  });

  it("asks a cache without the option only where the inspector allows changes, and sends the token", async () => {
    const refused = await service({});
    const args = ["--sample", "2", "--for", "20s", "--per-minute", "6000", "--json"];
    expect(await inProcess(["verify", refused.url, ...args])).toMatchObject({
      exitCode: 4,
      stderr: expect.stringContaining(
        "the inspector answered 403: loaders may not run: pass createCache({ verify: true })",
      ),
    });
    const authorize = (request: Request): boolean => request.headers.get("authorization") === "Bearer secret";
    const { url } = await service({}, { write: true, authorize });
    expect(await inProcess(["verify", url, ...args])).toMatchObject({ exitCode: 4 });
    const { stdout } = await inProcess(["verify", url, ...args, "--cache", "shop"], { INSPECTOR_TOKEN: "secret" });
    expect(JSON.parse(stdout)).toMatchObject({
      version: 1,
      cache: "shop",
      checked: 2,
      groups: [{ namespace: ["products"] }],
    });
  });

  it.each([
    [[], 2, "the URL of an inspector, such as http://localhost:3000/hotset is missing"],
    [["shop"], 2, 'the inspector must be a URL such as http://localhost:3000/hotset, got "shop"'],
    [["http://localhost:1", "--for", "1ms"], 2, '--for must be from 1 s to 10 min, such as 2m, got "1ms"'],
    [["http://localhost:1"], 3, "the inspector at http://localhost:1 did not answer"],
  ])("with %j ends with %d", async (words, exitCode, text) => {
    const result = await inProcess(["verify", ...words]);
    expect([result.exitCode, result.stderr]).toEqual([exitCode, expect.stringContaining(text)]);
  });
});
