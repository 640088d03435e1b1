import { execFile } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { ofWorkspace, startOwnRedis } from "@hotset/test-servers";
import { afterAll, expect, it } from "vitest";
import { DOCUMENTED_REDIS_URL, PROGRAMS_FOLDER, makePrograms, readPages, writeProgram } from "./code-blocks.ts";

const { PATH, NODE_COMPILE_CACHE } = process.env;
const folder = join(PROGRAMS_FOLDER, "run");
const programs = makePrograms(readPages()).filter((program) => program.isRun);

rmSync(folder, { recursive: true, force: true });
/** One for each of the programs that run side by side: `maxConcurrency` of vitest. */
const servers = await Promise.all(Array.from({ length: 5 }, () => startOwnRedis()));
afterAll(() => Promise.all(servers.map((server) => server.stop())));

it("programs that run name no Redis but the one that is replaced", () => {
  const named = programs.flatMap((program) => program.text.match(/redis(s?):\/\/[^"'`\s]*/g) ?? []);
  expect(named.filter((url) => url !== DOCUMENTED_REDIS_URL)).toEqual([]);
});

// Each in its own process, as a reader would run it, on an empty server: it must end without help, print what the page
// says that it prints, and write nothing to stderr.
it.concurrent.for(programs)("the program at $page:$line runs", async (program, { onTestFinished }) => {
  const redis = servers.pop()!;
  onTestFinished(() => void servers.push(redis));
  await redis.command("FLUSHALL");
  const path = writeProgram(program, folder, program.text.replaceAll(DOCUMENTED_REDIS_URL, redis.url));
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [...ofWorkspace(), path], {
    env: { PATH, NODE_COMPILE_CACHE, REDIS_URL: redis.url },
    timeout: 280_000,
  });
  expect(stderr).toBe("");
  if (program.output !== undefined) expect(stdout.trimEnd()).toBe(program.output);
});
