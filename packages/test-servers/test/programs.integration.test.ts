import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { redisPrograms, serverExecutable } from "../src/index.ts";

const run = promisify(execFile);

it("are three programs of the server's own version, each of which knows what it is", async () => {
  const folder = await mkdtemp(join(tmpdir(), "hotset-programs-"));
  try {
    expect(await redisPrograms(join(folder, "bin"))).toBe(join(folder, "bin"));
    const lineOf = async (name: string): Promise<string> =>
      (await run(join(folder, "bin", name), ["--version"])).stdout.trim();
    const { version } = await serverExecutable();
    const [, number] = /v=(\S+)/.exec(version)!;
    expect(await lineOf("redis-server")).toBe(version);
    expect(await lineOf("redis-cli")).toMatch(/^(redis|valkey)-cli /);
    expect(await lineOf("redis-cli")).toContain(number);
    expect(await lineOf("redis-check-rdb")).toMatch(/^(redis|valkey)-check-rdb /);
    expect(await lineOf("redis-check-rdb")).toContain(number);
  } finally {
    await rm(folder, { recursive: true });
  }
});
