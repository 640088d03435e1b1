import { freePort, randomPrefix, startOwnRedis, startTlsRedis } from "@hotset/test-servers";
import { createCache, redis, type CacheLogger } from "hotset";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { LAYOUT } from "../support/layout.ts";

const warnings: (Error & { readonly code?: string })[] = [];
const remember = (warning: Error): void => void warnings.push(warning);
// The first connection of a process loads the client of Redis, which takes long on a busy machine.
beforeAll(async () => {
  await using server = await startOwnRedis();
  await using cache = createCache({ name: "first" }).tier(redis(server.url).connectTimeout("25s").build()).build();
  await cache.connect();
});
beforeEach(() => {
  warnings.length = 0;
  process.on("warning", remember);
});
afterEach(() => void process.off("warning", remember));

/** The warnings of a cache over `url` that is used as if all were well, and the state of its backend. */
async function useOf(
  url: string,
  logger?: CacheLogger,
): Promise<{
  readonly texts: readonly string[];
  readonly codes: readonly (string | undefined)[];
  readonly state: string;
}> {
  await using cache = createCache({ name: "shop", ...(logger && { logger }) })
    .tier(redis(url).layout(LAYOUT).keyPrefix(randomPrefix()).responseTimeout("5s").build())
    .build();
  for (let i = 0; i < 3; i += 1) expect(await cache.getOrSet("k", () => "loaded")).toBe("loaded");
  const { state } = cache.stats().tiers[0]!;
  await new Promise((resolve) => setImmediate(resolve));
  return { texts: warnings.map(({ message }) => message), codes: warnings.map(({ code }) => code), state };
}

describe("is visible without a listener, and the state is down, not idle:", () => {
  it("a wrong password", async () => {
    await using server = await startOwnRedis({ password: "right" });
    const { texts, codes, state } = await useOf(`redis://:wrong@${server.host}:${server.port}`);
    expect([codes, state]).toEqual([["HOTSET_BACKEND_ACCESS"], "down"]);
    expect(texts[0]).toMatch(/^hotset: cache "shop": .*WRONGPASS.*check username and password/);
    expect(texts[0]).not.toContain("wrong@");
  });

  it("a wrong port", async () => {
    const { texts, codes, state } = await useOf(`redis://127.0.0.1:${await freePort()}`);
    expect([codes, state]).toEqual([["HOTSET_BACKEND_UNAVAILABLE"], "down"]);
    expect(texts[0]).toMatch(/ECONNREFUSED/);
  });

  it("a server that speaks TLS, without TLS", async () => {
    await using server = await startTlsRedis();
    const { texts, state } = await useOf(`redis://localhost:${server.port}`);
    expect([texts.length, state]).toEqual([1, "down"]);
  });

  it("a server without memory", async () => {
    await using server = await startOwnRedis({ config: ["maxmemory 1mb", "maxmemory-policy noeviction"] });
    const { texts, codes } = await useOf(server.url);
    expect(codes).toEqual(["HOTSET_BACKEND_REFUSED"]);
    expect(texts[0]).toMatch(/OOM/);
  });
});
