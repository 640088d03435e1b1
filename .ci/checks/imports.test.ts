import { expect, it } from "vitest";
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

it("lets a package import what the graph grants, builtins, declared dependencies and rooms above its own", () => {
  const text =
    'import type { Backend } from "@hotset/core"; import { LRUCache } from "lru-cache"; import "node:zlib";\n' +
    '// import x from "@hotset/redis"';
  const load = 'import type { Entry } from "../entry/entry.ts"; import { isLoading } from "./loading.ts";';
  expect(violations(["packages/memory/src/index.ts", text], ["packages/core/src/engine/load.ts", load])).toEqual([]);
});

it.each([
  ["core/src/cache/cache.ts", 'export type M = import("@hotset/memory").Memory;', "which @hotset/core may not"],
  ["redis/src/a.ts", 'import { TestClock } from "@hotset/testing";', "only tests, benchmarks and examples do"],
  ["redis/test/x.test.ts", 'import "@hotset/stories";', "which nothing may import"],
  ["core/src/entry/codec.ts", 'import { pack } from "msgpackr";', "which its package.json does not declare"],
  ["memory/src/a.ts", 'export type { E } from "../../core/src/entry.ts";', "import the package by its name"],
  ["later/src/index.ts", 'import "@hotset/core";', "no line in PACKAGE_GRAPH"],
  ["core/src/entry/a.ts", 'import type { X } from "../cache/b.ts";', "in ROOMS, cache does not stand above entry"],
  ["core/src/helpers.ts", 'export const a = () => import("./primitives/thenable.ts");', "is in no room of ROOMS"],
  ["memory/src/index.ts", 'export * from "./a.ts";', '"export *" hides what is public'],
  ["memory/src/a.ts", 'import type { A } from "./a.ts";', "ring: packages/memory/src/a.ts -> packages/memory/src/a.ts"],
  ["memory/src/a.tsx", 'import { A } from "./a.tsx";', "ring: packages/memory/src/a.tsx -> packages/memory/src/a.tsx"],
])("finds in %s: %s", (path, text, words) => {
  expect(violations([`packages/${path}`, text])).toEqual([expect.stringContaining(words)]);
});
