// A misspelt option is one mistake, in every factory: one error, one wording.

import { createTestCache, scriptedBackend, TestClock } from "@hotset/testing";
import { expect, it } from "vitest";

/** The exports of an entry. By path: some are no dependencies of the stories. */
async function exportsOf(entry: string): Promise<Readonly<Record<string, (...given: unknown[]) => unknown>>> {
  const [folder, ...inside] = entry.split("/");
  const file = [folder, "src", ...inside, "index.ts"].join("/");
  return import(new URL(`../../../${file}`, import.meta.url).href);
}

const backend = () => scriptedBackend({ clock: new TestClock() });
const url = "redis://localhost";

it.each<[place: string, folder: string, name: string, before: readonly unknown[], others?: object]>([
  ["createCache", "core", "createCache", []],
  ["memory", "memory", "memory", []],
  ["gzip", "formats", "gzip", []],
  ["brotli", "formats", "brotli", []],
  ["zstd", "formats/zstd", "zstd", []],
  ["xaes-256-gcm", "seal", "aesGcm", []],
  ["compose", "compose", "compose", [backend(), backend()]],
  ["sqlite", "sqlite", "sqlite", ["a.db"]],
  ["postgres", "postgres", "postgres", []],
  ["consume", "postgres-follow", "consume", [createTestCache()]],
  ["transactions", "transactions", "transactions", [createTestCache()]],
  ["keyv", "keyv", "keyv", [new Map()]],
  ["keyvStore", "keyv", "keyvStore", [createTestCache()]],
  ["httpCache", "http", "httpCache", [createTestCache()]],
  ["single(url, options)", "redis", "single", [url]],
  ["cluster(nodes, options)", "redis", "cluster", [[url]]],
  ["sentinel(sentinels, options)", "redis", "sentinel", [[url]], { primaryName: "a" }],
  ["createRedis", "redis-toolkit", "createRedis", []],
  ["observe", "metrics/prometheus", "observe", [], { register: { registerMetric: () => undefined } }],
  ["observe", "metrics/otel", "observe", []],
  ["startTracing", "metrics/otel", "startTracing", []],
])("%s of %s refuses an unknown option as every factory does", async (place, folder, name, before, others) => {
  const make = (await exportsOf(folder))[name]!;
  const act = () => make(...before, { ...others, nope: true });
  expect(act).toThrow(
    expect.objectContaining({
      code: "INVALID_CONFIGURATION",
      message: expect.stringContaining(`${place}: unknown option "nope"; `) as string,
    }),
  );
  expect(act).toThrow(/"nope"(; did you mean \w+\?)?; accepted: \w+(, \w+)*$/);
});
