import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { trackedFiles } from "./tracked-files.ts";

const top = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const files = trackedFiles(top);

/** The weight of the repository. A limit goes down with its count; the aim is where it goes. */
const ROWS: readonly { readonly what: string; readonly count: () => number; readonly limit: number }[] = [
  // The aim is 700: the site, next, testcontainers and the clients of other caches bring most of the rest. Decisions
  // 0240, 0250, 0255 and 0295 have others; Bun, which runs in the tests, has one for each platform.
  { what: "packages in the lockfile", count: packagesInLockfile, limit: 980 },
  // Small enough to be read whole.
  {
    what: "lines of code of @hotset/postgres-follow",
    count: () => lines(/^packages\/postgres-follow\/src\/(?!.*\.test\.).*\.ts$/, isCode),
    limit: 899,
  },
  { what: "published packages", count: publishedPackages, limit: 23 },
  {
    what: "lines of the workshop",
    count: () => lines(/^packages\/(?:stories|mutants|torture|test-servers|testing)\/.*\.ts$/),
    limit: 43_304,
  },
  // The aim is 3,000. Decision 0240 has the runs of adapters in their frameworks, decision 0250 the check of CommonJS.
  { what: "lines of .ci", count: () => lines(/^\.ci\/(?:.*\.(?:ts|mjs)|run)$/), limit: 8_212 },
  // The aim is 120,000. A new page is paid for with what is said twice elsewhere.
  { what: "words of Markdown", count: () => words(/\.md$/), limit: 126_737 },
  { what: "words of the README", count: () => words(/^README\.md$/), limit: 900 },
  // An entry that nothing refers to can go: it stays in the history of git.
  { what: "words of the log of decisions", count: () => words(/^docs\/decisions\/log\.md$/), limit: 1_890 },
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

const isCode = (line: string): boolean => !/^\s*(?:$|\/\/|\/?\*)/.test(line);

function lines(paths: RegExp, isCounted = (_line: string): boolean => true): number {
  const found = files.filter((path) => paths.test(path));
  return found.flatMap((path) => read(path).split("\n").slice(0, -1)).filter((line) => isCounted(line)).length;
}

function words(paths: RegExp): number {
  return files.filter((path) => paths.test(path)).flatMap((path) => read(path).match(/\S+/g) ?? []).length;
}

function read(path: string): string {
  return readFileSync(join(top, path), "utf8");
}
