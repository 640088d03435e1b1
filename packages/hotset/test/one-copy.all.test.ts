import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { temporaryDirectory } from "@hotset/test-servers";
import { rolldown } from "rolldown";
import { beforeAll, expect, it } from "vitest";

// A package with what the publish step writes into its package.json, and a program that has it twice over: by `import`
// in one part and by `require` in another.
let folder: string;

interface Publishing {
  readonly hooks: { beforePacking(manifest: object): object };
}

beforeAll(async () => {
  folder = await temporaryDirectory("one-copy");
  const target = join(folder, "node_modules/part");
  mkdirSync(join(target, "dist"), { recursive: true });
  const exports = { ".": { "@hotset/source": "./src/index.ts", default: "./dist/index.js" } };
  const publishing = join(import.meta.dirname, "../../../.pnpmfile.mjs");
  const { hooks } = (await import(pathToFileURL(publishing).href)) as Publishing;
  const manifest = hooks.beforePacking({ name: "part", version: "1.0.0", type: "module", exports });
  writeFileSync(join(target, "package.json"), JSON.stringify(manifest));
  writeFileSync(join(target, "dist/index.js"), "export class Part {}\n");
  writeFileSync(join(target, "dist/index.cjs"), "exports.Part = class Part {};\n");
  writeFileSync(join(folder, "required.cjs"), 'module.exports = require("part").Part;\n');
  writeFileSync(
    join(folder, "main.mjs"),
    'import { Part } from "part";\nimport required from "./required.cjs";\nconsole.log(Part === required);\n',
  );
});

const run = (program: string, file: string): string => execFileSync(program, [file], { cwd: folder, encoding: "utf8" });

it("a program that imports and requires a package has one copy of it: Node", () => {
  expect(run(process.execPath, "main.mjs")).toBe("true\n");
});

it("a bundle for Node has one copy: rolldown", async () => {
  await using bundle = await rolldown({ cwd: folder, input: "main.mjs", platform: "node" });
  await bundle.write({ file: join(folder, "bundle.mjs"), format: "esm" });
  expect(run(process.execPath, "bundle.mjs")).toBe("true\n");
});

it("a program has one copy in Bun", () => {
  const platform = `${process.platform}-${process.arch === "arm64" ? "aarch64" : process.arch}`;
  // It is installed for the stories.
  const { resolve } = createRequire(join(import.meta.dirname, "../../stories/package.json"));
  const bun = resolve(`@oven/bun-${platform}/bin/bun${process.platform === "win32" ? ".exe" : ""}`);
  expect(run(bun, "main.mjs")).toBe("true\n");
});
