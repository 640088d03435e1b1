import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { trackedFiles } from "./tracked-files.ts";

const top = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const files = trackedFiles(top);

/** The weight of the repository. A limit goes down with its count; the aim is where it goes. */
const ROWS: readonly { readonly what: string; readonly count: () => number; readonly limit: number }[] = [
  // The aim is 700: the site, next, testcontainers and the clients of other caches bring most of the rest.
  // Decision 0250 has the six that bundle declarations, decision 0240 drizzle-orm and the types of Next 15,
  // decision 0255 playwright-core and axe-core, decision 0295 pg-logical-replication and what it needs.
  { what: "packages in the lockfile", count: packagesInLockfile, limit: 1_012 },
  // Decision 0295 has @hotset/postgres-follow.
  { what: "published packages", count: publishedPackages, limit: 23 },
  // The aim is 42,000. Decision 0250 has the types that programs write.
  {
    what: "lines of the workshop",
    count: () => lines(/^packages\/(?:stories|mutants|torture|test-servers|testing)\/.*\.ts$/),
    limit: 42_280,
  },
  // The aim is 3,000. Decision 0240 has the runs of adapters in their frameworks,
  // those of Drizzle, GraphQL and Next included, decision 0250 the check of CommonJS and the runs of its importers.
  { what: "lines of .ci", count: () => lines(/^\.ci\/(?:.*\.(?:ts|mjs)|run)$/), limit: 7_990 },
  // Decision 0240 has the pages of six adapters, 0250 the tables of importers, 0255 the pages of the inspector, 0260
  // fences, README six caches, 0263 tags, 0264, 0265 and 0271 marks; 40 are what a snapshot of Redis brings back.
  { what: "words of Markdown", count: wordsOfMarkdown, limit: 135_380 },
];

describe("the weight of the repository", () => {
  it.for(ROWS)("$what: at most $limit", ({ count, limit }) => {
    const counted = count();
    expect(counted).toBeGreaterThan(0);
    expect(counted).toBeLessThanOrEqual(limit);
  });
});

function packagesInLockfile(): number {
  const [, packages = ""] = /^packages:\n(.*?)^snapshots:\n/ms.exec(read("pnpm-lock.yaml")) ?? [];
  return packages.match(/^ {2}\S.*:$/gm)?.length ?? 0;
}

function publishedPackages(): number {
  const manifests = files.filter((path) => /^packages\/[^/]+\/package\.json$/.test(path));
  return manifests.filter((path) => (JSON.parse(read(path)) as { private?: boolean }).private !== true).length;
}

function lines(paths: RegExp): number {
  return files.filter((path) => paths.test(path)).reduce((sum, path) => sum + read(path).split("\n").length - 1, 0);
}

function wordsOfMarkdown(): number {
  return files
    .filter((path) => path.endsWith(".md"))
    .reduce((sum, path) => sum + (read(path).match(/\S+/g)?.length ?? 0), 0);
}

function read(path: string): string {
  return readFileSync(join(top, path), "utf8");
}
