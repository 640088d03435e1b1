import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { requestedTarget, serverExecutable, type ServerTarget } from "../src/index.ts";

it("runs the chosen tests against the chosen server, and counts", async () => {
  const target = requestedTarget() ?? (await targetAtHand());
  const { code, lines } = await matrix([target, "test-servers/test/executable"], {});
  expect(lines.at(-2)).toMatch(new RegExp(`^${target} +[\\d.]+ +3 +0 +[\\d.]+ *$`));
  expect([lines.at(-1), code]).toEqual(["3 passed, 0 failed", 0]);
}, 120_000);

it("counts an unavailable server as a failure, and names a remedy", async () => {
  const empty = await mkdtemp(join(tmpdir(), "hotset-empty-"));
  const { code, lines } = await matrix(["valkey8"], { PATH: empty, XDG_CACHE_HOME: empty });
  expect(lines.join("\n")).toContain(
    "valkey8: Error: valkey-server is not on PATH, and apt-get is missing, which could download it.",
  );
  expect([lines.at(-1), code]).toEqual(["0 passed, 1 failed", 1]);
  await rm(empty, { recursive: true });
});

async function targetAtHand(): Promise<ServerTarget> {
  const { version } = await serverExecutable();
  return version.startsWith("Redis server v=8.") ? "redis8" : version.startsWith("Redis") ? "redis7" : "valkey8";
}

function matrix(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<{ readonly code: number; readonly lines: readonly string[] }> {
  const script = fileURLToPath(new URL("../src/matrix.ts", import.meta.url));
  // The runner's own variables would make the run inside take itself for one of its workers.
  const kept = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(VITEST|TEST$|NODE_ENV$|NODE_OPTIONS$)/.test(name)),
  );
  return new Promise((resolve) => {
    execFile(process.execPath, [script, ...args], { env: { ...kept, ...env } }, (error, stdout) => {
      resolve({ code: typeof error?.code === "number" ? error.code : 0, lines: stdout.trimEnd().split("\n") });
    });
  });
}
