import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";

const top = join(import.meta.dirname, "../..");

// Needs the registry of npm.
it("adapters are right in the frameworks they are for, and the table of their page says how many", () => {
  const run = spawnSync("node", [".ci/tool.ts", "tool", "adapters"], { cwd: top, encoding: "utf8" });
  expect(run.status, run.stdout + run.stderr).toBe(0);
});
