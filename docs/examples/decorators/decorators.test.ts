import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { ofWorkspace } from "@hotset/test-servers";
import { expect, it } from "vitest";

const run = promisify(execFile);
const here = import.meta.dirname;
const top = join(here, "../../..");

// As the comment of the program says, in a clone that was not built too.
it.each([
  ["this TypeScript", [join(top, "node_modules/.bin/tsc")]],
  ["TypeScript 5", [process.execPath, join(top, ".ci/node_modules/typescript-5/bin/tsc")]],
] as const)("C748 the syntax, compiled by %s, runs", async (name, [command, ...before]) => {
  const out = join(here, "../node_modules/.cache", `decorators of ${name}`);
  await run(command, [...before, "-p", here, "--outDir", out]);
  const { stdout } = await run(process.execPath, [...ofWorkspace(), join(out, "catalog.js")]);
  expect(stdout).toBe("price:EUR%3Aab: 8 loads\n");
});
