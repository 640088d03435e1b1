import { readFileSync } from "node:fs";
import { join } from "node:path";
import { rolldown } from "rolldown";
import { expect, it } from "vitest";

const folder = join(import.meta.dirname, "..");

it("C743: over HTTP, node-redis is neither installed nor loaded: the package imports core alone", async () => {
  const { dependencies, optionalDependencies, peerDependencies } = JSON.parse(
    readFileSync(join(folder, "package.json"), "utf8"),
  ) as Readonly<Record<string, object | undefined>>;
  expect([dependencies, optionalDependencies, peerDependencies]).toEqual([
    undefined,
    undefined,
    { "@hotset/core": "workspace:^" },
  ]);
  await using bundle = await rolldown({
    input: join(folder, "src/index.ts"),
    platform: "node",
    external: (id) => !/^[./]/.test(id) && !id.startsWith("@hotset/redis"),
    resolve: { conditionNames: ["@hotset/source"] },
  });
  const [chunk, ...others] = (await bundle.generate({ format: "esm" })).output;
  expect([others, chunk.dynamicImports]).toEqual([[], []]);
  expect(chunk.imports.toSorted()).toEqual(["@hotset/core", "@hotset/core/internal"]);
  expect(chunk.code).not.toMatch(/\brequire\(|@redis\/client/);
});

it("has what @hotset/redis/http has, so that either can be taken", async () => {
  const [here, there] = await Promise.all([import("@hotset/redis-http"), import("@hotset/redis/http")]);
  expect(Object.keys(here)).toEqual(Object.keys(there));
  expect(Object.keys(here)).toEqual(["http", "redis"]);
});
