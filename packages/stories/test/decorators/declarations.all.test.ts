import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const top = join(import.meta.dirname, "../../../..");
const folder = join(top, "packages/stories/node_modules/.cache/declarations");

const PROGRAM = `
import { createCache, memory } from "hotset";
import { cached, cachedMethod } from "hotset/decorators";

const cache = createCache({ name: "shop" }).tier(memory()).build();
class Catalog {
  @cached(cache, { name: "price" })
  async price(sku: string): Promise<number> { return sku.length; }
}
export const price = cachedMethod(new Catalog(), "price");
export const byArguments = cached(cache, { name: "a" });
export const byKey = cached(cache, { name: "b", key: ({ pathname }: URL) => pathname });
`;

const CONFIG = {
  extends: join(top, "tsconfig.base.json"),
  compilerOptions: {
    ...{ rootDir: top, outDir: join(folder, "out"), emitDeclarationOnly: true },
    ...{ isolatedDeclarations: false, customConditions: ["@hotset/source"] },
  },
  files: ["program.ts"],
};

it("C748 declarations of a program with decorators name hotset alone", { timeout: 120_000 }, async () => {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "program.ts"), PROGRAM);
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(CONFIG));
  await promisify(execFile)(join(top, "node_modules/.bin/tsc"), ["-p", folder]);
  const declared = readFileSync(
    join(folder, "out/packages/stories/node_modules/.cache/declarations/program.d.ts"),
    "utf8",
  );
  const named = [...declared.matchAll(/import\("([^"]+)"\)\.(\w+)/g)].map(([, from, name]) => `${from}: ${name}`);
  expect(new Set(named)).toEqual(
    new Set(["hotset: Wrapped", "hotset/decorators: CachedDecorator", "hotset/decorators: PlainCachedDecorator"]),
  );
});
