import { readFileSync } from "node:fs";
import { join } from "node:path";
import { httpCache } from "@hotset/http";
import { observe } from "@hotset/metrics/prometheus";
import { createRedis } from "@hotset/redis-toolkit";
import { createTestCache } from "@hotset/testing";
import { Registry } from "prom-client";
import { beforeAll, expect, it } from "vitest";

const docs = join(import.meta.dirname, "../../../../docs");
const read = (path: string): string => readFileSync(join(docs, path), "utf8");
/** Names of metrics in a text, without the endings of histograms. */
const named = (text: string): ReadonlySet<string> =>
  new Set(
    Array.from(text.matchAll(/\b(?:cache|http_cache|redis|nodejs|v8js|process)_[a-z_]+\b/g), ([name]) =>
      name.replace(/_(?:bucket|count|sum)$/, ""),
    ),
  );

let known: ReadonlySet<string>;
beforeAll(async () => {
  const register = new Registry();
  const cache = createTestCache();
  const away = (): Promise<never> => Promise.reject(new Error("away"));
  const counts = { handled: 0, failed: 0, redelivered: 0, buried: 0, deleted: 0, groupsCreated: 0 };
  const observation = observe({
    register,
    caches: [cache],
    namespaces: true,
    backendCalls: true,
    redis: [createRedis({ env: false })],
    queues: { jobs: { counts: away } },
    consumers: { entries: { counts, status: away } },
    followers: {
      follows: { stats: () => ({ changes: 0, calls: 0, clears: 0, role: "following", lagBytes: 0, lagMs: 0 }) },
    },
    http: { pages: httpCache(cache.namespace("pages")) },
    process: true,
  });
  known = new Set((await register.getMetricsAsJSON()).map(({ name }) => name));
  observation.close();
  await cache.close();
});

it.each(["operations/grafana-dashboard.json", "operations/prometheus-alerts.yml"])(
  "%s names metrics that exist",
  (path) => {
    const names = named(read(path));
    expect(names.size).toBeGreaterThan(5);
    expect([...names].filter((name) => !known.has(name))).toEqual([]);
  },
);

it("the pages list every metric, every alert, and no other", () => {
  const page = read("guide/metrics.md") + read("reference/metrics.md");
  const listed = new Set(
    Array.from(page.matchAll(/`((?:cache|http_cache|redis|nodejs|v8js|process)_[a-z_]+)`/g), ([, name]) => name!),
  );
  expect([...known].filter((name) => !listed.has(name))).toEqual([]);
  expect([...listed].filter((name) => !known.has(name))).toEqual([]);
  const alerts = Array.from(read("operations/prometheus-alerts.yml").matchAll(/alert: (\w+)/g), ([, name]) => name!);
  expect(alerts.filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
});
