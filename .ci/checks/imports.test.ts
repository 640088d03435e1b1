import { describe, expect, it } from "vitest";
import { findViolations, type Manifest, type SourceText } from "./imports.ts";

const MANIFESTS = new Map<string, Manifest>([
  ["core", { name: "@hotset/core", peerDependencies: { vitest: ">=5" } }],
  ["memory", { name: "@hotset/memory", dependencies: { "lru-cache": "11.5.3" } }],
  ["redis", { name: "@hotset/redis" }],
  ["later", { name: "@hotset/later" }],
]);

const violations = (...sources: readonly (readonly [path: string, text: string])[]): readonly string[] =>
  findViolations(
    sources.map(([path, text]): SourceText => ({ path, text })),
    MANIFESTS,
  );

describe("between packages", () => {
  it("lets a package import what the graph grants, builtins and declared dependencies", () => {
    const text =
      'import type { Backend } from "@hotset/core"; import { LRUCache } from "lru-cache"; import "node:zlib";';
    expect(violations(["packages/memory/src/index.ts", text])).toEqual([]);
  });

  it.each([
    ["a value import", 'import { memory } from "@hotset/memory";'],
    ["a type import", 'import type { Memory } from "@hotset/memory";'],
    ["an import type", 'export type M = import("@hotset/memory").Memory;'],
    ["a re-export", 'export { memory } from "@hotset/memory";'],
    ["a dynamic import", 'export const m = () => import("@hotset/memory");'],
  ])("finds %s that the graph does not grant", (_what, text) => {
    expect(violations(["packages/core/src/cache/cache.ts", text])).toEqual([
      "packages/core/src/cache/cache.ts imports @hotset/memory, which @hotset/core may not",
    ]);
  });

  it("finds the testing entry point and the test servers in sources, and lets tests have them", () => {
    const text = 'import { TestClock } from "@hotset/testing"; import { startRedis } from "@hotset/test-servers";';
    expect(violations(["packages/redis/src/backend.ts", text])).toEqual([
      "packages/redis/src/backend.ts imports @hotset/testing: only tests, benchmarks and examples do",
      "packages/redis/src/backend.ts imports @hotset/test-servers: only tests, benchmarks and examples do",
    ]);
    expect(
      violations(["packages/redis/test/backend.integration.test.ts", text], ["packages/redis/src/a.test.ts", text]),
    ).toEqual([]);
  });

  it("finds an import of a package of consumers, even in a test", () => {
    expect(violations(["packages/redis/test/x.test.ts", 'import "@hotset/stories";'])).toEqual([
      "packages/redis/test/x.test.ts imports @hotset/stories, which nothing may import",
    ]);
    expect(violations(["packages/torture/src/x.ts", 'import "@hotset/mutants/mutant";'])).toEqual([]);
    expect(violations(["packages/stories/test/x.ts", 'import "@hotset/mutants/mutant";'])).toEqual([
      "packages/stories/test/x.ts imports @hotset/mutants/mutant, which packages/torture may import",
    ]);
  });

  it("finds a dependency that is not declared", () => {
    expect(violations(["packages/core/src/entry/codec.ts", 'import { pack } from "msgpackr";'])).toEqual([
      "packages/core/src/entry/codec.ts imports msgpackr, which its package.json does not declare",
    ]);
  });

  it("finds a path into another package", () => {
    expect(violations(["packages/memory/src/a.ts", 'import type { E } from "../../core/src/entry.ts";'])).toEqual([
      "packages/memory/src/a.ts reaches into packages/core/src/entry.ts: import the package by its name",
    ]);
  });

  it("lets packages of consumers have the configuration at the top, and no others", () => {
    const text = 'import type { C } from "../../../vitest.config.ts";';
    expect(violations(["packages/mutants/src/vitest.config.ts", text])).toEqual([]);
    expect(violations(["packages/redis/src/deep/a.ts", text.replace("../../../", "../../../../")])).toEqual([
      "packages/redis/src/deep/a.ts reaches into vitest.config.ts: import the package by its name",
    ]);
  });

  it("asks for a line in the graph when a package is new", () => {
    expect(violations(["packages/later/src/index.ts", 'import "@hotset/core";'])).toEqual([
      "@hotset/later has no line in PACKAGE_GRAPH (.ci/checks/imports.ts)",
    ]);
  });
});

describe("inside a package with rooms", () => {
  it("lets a room import from those above it, and from itself", () => {
    expect(
      violations(
        [
          "packages/core/src/engine/load.ts",
          'import type { Entry } from "../entry/entry.ts"; import { isLoading } from "./loading.ts";',
        ],
        ["packages/core/src/index.ts", 'export { createCache } from "./cache/create-cache.ts";'],
      ),
    ).toEqual([]);
  });

  it.each([
    ["upwards", "entry", "cache"],
    ["between rooms of one line", "formats", "coherence"],
  ])("finds a type import %s", (_where, importer, imported) => {
    expect(violations([`packages/core/src/${importer}/a.ts`, `import type { X } from "../${imported}/b.ts";`])).toEqual(
      [
        `packages/core/src/${importer}/a.ts imports packages/core/src/${imported}/b.ts: in ROOMS, ${imported} does not stand above ${importer}`,
      ],
    );
  });

  it("has rooms for redis too: a connection does not know what is stored over it", () => {
    expect(
      violations(
        ["packages/redis/src/store/leases.ts", 'import type { Link } from "../connection/link.ts";'],
        ["packages/redis/src/connection/link.ts", 'import type { RedisLeases } from "../store/leases.ts";'],
        ["packages/redis/src/topology/cluster.ts", 'import { RedisKeys } from "../store/redis-keys.ts";'],
      ).filter((each) => !each.startsWith("ring: ")),
    ).toEqual([
      "packages/redis/src/connection/link.ts imports packages/redis/src/store/leases.ts: in ROOMS, store does not stand above connection",
      "packages/redis/src/topology/cluster.ts imports packages/redis/src/store/redis-keys.ts: in ROOMS, store does not stand above topology",
    ]);
  });

  it("asks for a room when a file has none", () => {
    expect(
      violations(["packages/core/src/helpers.ts", 'import { whenReady } from "./primitives/thenable.ts";']),
    ).toEqual(["packages/core/src/helpers.ts is in no room of ROOMS (.ci/checks/imports.ts)"]);
  });
});

describe("everywhere", () => {
  it("finds a ring, types counted", () => {
    expect(
      violations(
        ["packages/memory/src/a.ts", 'import { b } from "./b.ts";'],
        ["packages/memory/src/b.ts", 'import type { C } from "./c.ts";'],
        ["packages/memory/src/c.ts", 'export type { A } from "./a.ts";'],
      ),
    ).toEqual([
      "ring: packages/memory/src/a.ts -> packages/memory/src/b.ts -> packages/memory/src/c.ts -> packages/memory/src/a.ts",
    ]);
  });

  it("finds export *", () => {
    expect(violations(["packages/memory/src/index.ts", 'export * from "./a.ts";'])).toEqual([
      'packages/memory/src/index.ts: "export *" hides what is public; list the names',
    ]);
  });

  it("is not misled by comments and strings", () => {
    const text = '// import x from "@hotset/memory"\nexport const s = `import y from "@hotset/redis"`;';
    expect(violations(["packages/core/src/entry/key.ts", text])).toEqual([]);
  });
});
