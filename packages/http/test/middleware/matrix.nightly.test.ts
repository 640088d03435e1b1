import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { describeCells } from "./cells.ts";
import { kitOf, PARTS } from "./parts.ts";

// In a folder of their own: the workspace needs none of them.
const folder = mkdtempSync(join(tmpdir(), "hotset-middleware-"));
beforeAll(() => {
  cpSync(join(import.meta.dirname, "packages"), folder, { recursive: true });
  const words = ["--yes", "pnpm@12.21.0", "install", "--frozen-lockfile", "--ignore-workspace"];
  execFileSync("npx", words, { cwd: folder, stdio: "ignore" });
});
afterAll(() => rmSync(folder, { recursive: true }));

describeCells(() => kitOf(join(folder, "package.json")), Object.keys(PARTS));
