import { observe } from "@hotset/metrics/prometheus";
import { createTestCache } from "@hotset/testing";
import { Registry } from "prom-client";
import { expect, it } from "vitest";

async function counted(options: { readonly namespaces?: boolean }): Promise<readonly string[]> {
  const cache = createTestCache({ name: "shop", keyGroups: [{ name: "user", match: "user:" }] });
  const register = new Registry();
  const observation = observe({ register, caches: [cache], ...options });
  const below = cache.namespace("a:b").namespace("c");
  await cache.getOrSet("user:1", () => 1);
  await below.getOrSet("user:1", () => 1);
  await below.getOrSet("user:1", () => 1);
  await below.getOrSet("other", () => Promise.reject(new Error("down"))).catch(() => undefined);
  const lines = (await register.metrics()).split("\n");
  observation.close();
  await cache.close();
  return lines.filter((line) => /^cache_(?:group|namespace)_/.test(line) && !line.endsWith(" 0"));
}

const OF_GROUPS = [
  'cache_group_requests_total{cache="shop",group="user",result="hit"} 1',
  'cache_group_requests_total{cache="shop",group="user",result="miss"} 2',
  'cache_group_loads_total{cache="shop",group="user"} 2',
];

it("groups of keys have their calls and loads", async () => {
  expect(await counted({})).toEqual(OF_GROUPS);
});

it("namespaces have theirs where they are asked for, with those below them", async () => {
  const of = (namespace: string): readonly string[] => [`namespace="${namespace}"`, `namespace="${namespace}:c"`];
  const [outer, inner] = of("a%3Ab");
  expect((await counted({ namespaces: true })).toSorted()).toEqual(
    [
      ...OF_GROUPS,
      ...[outer, inner].flatMap((label) => [
        `cache_namespace_requests_total{cache="shop",${label},result="hit"} 1`,
        `cache_namespace_requests_total{cache="shop",${label},result="miss"} 2`,
        `cache_namespace_loads_total{cache="shop",${label}} 2`,
        `cache_namespace_load_errors_total{cache="shop",${label}} 1`,
      ]),
    ].toSorted(),
  );
});
