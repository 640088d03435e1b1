import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { nothingIn, reachedIn } from "./reach.ts";

// In a folder of their own: the workspace has one Node.
const folder = mkdtempSync(join(tmpdir(), "hotset-nodes-"));
beforeAll(() => {
  cpSync(join(import.meta.dirname, "nodes"), folder, { recursive: true });
  const words = ["--yes", "pnpm@12.21.0", "install", "--frozen-lockfile"];
  execFileSync("npx", words, { cwd: folder, stdio: "ignore" });
});
afterAll(() => rmSync(folder, { recursive: true }));

it.each(["22", "26"])("H104 what a handler can reach is listed, and a load reaches none of it: Node %s", (version) => {
  expect(reachedIn(join(folder, `node_modules/node-${version}/bin/node`))).toEqual(nothingIn(version));
});
