import { execFile } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { startOwnRedis } from "@hotset/test-servers";
import { describe, expect, it } from "vitest";
import type { Costs } from "./measure.ts";

/**
 * Counts that may fall and not rise: whoever raises one says why on a decision page, such as 0266. Promises, files,
 * clock reads, commands and tracked keys are exact. Entries have a hundredth of room, since a slow answer of Redis
 * starts a timer; bytes have a fifth, or more where they are few.
 */
const MOST: Readonly<Record<string, Costs>> = {
  "miss, memory over Redis": cost([10, 673, 71, 23], [11, 1], [54_000, 700]),
  "miss, Redis alone": cost([10, 643, 65, 22], [10, 0], [50_000, 600]),
  "miss, memory alone": cost([5, 203, 34, 5], [0, 0], [10_000, 300]),
  "hit in Redis": cost([4, 271, 42, 8], [2, 0], [2_600, 100]),
  "hit in memory": cost([2, 13, 12, 1], [0, 0], [500, 100]),
  set: cost([20, 377, 66, 11], [6, 1], [26_000, 3_000]),
  delete: cost([4, 140, 34, 5], [2, 0], [12_500, 600]),
  // On a busy machine its trips are cut otherwise: a few promises more.
  "batch of 100": cost([434, 64_900, 80, 1_610], [1_100, 100], [4_350_000, 105_000]),
};

/**
 * Lines, those of comments and blank ones too, without tests; and files. Raised by decisions 0213 to 0215, 0229, 0241,
 * 0242, 0250, 0254, 0258, 0260, 0261, 0263 to 0265, 0268 and 0271, and for reports of whose changes are.
 */
const MOST_LINES = { engine: 5_522, core: 16_538 };
const MOST_FILES = { engine: 28, core: 118 };

describe("a call", async () => {
  const costs = await measured();

  it.each(Object.entries(MOST))("costs no more than before: %s", (name, most) => {
    const now = costs[name]!;
    const risen = Object.entries(now).filter(([what, count]) => count > most[what as keyof Costs]);
    expect(Object.fromEntries(risen)).toEqual({});
  });
});

it.each(["engine", "core"] as const)("%s has no more lines and files than before", (room) => {
  const src = join(import.meta.dirname, "../../../core/src", room === "core" ? "" : room);
  const files = globSync("**/*.ts", { cwd: src }).filter((file) => !/\.test(-d)?\.ts$/.test(file));
  const lines = files.reduce((sum, file) => sum + readFileSync(join(src, file), "utf8").split("\n").length - 1, 0);
  expect(lines).toBeLessThanOrEqual(MOST_LINES[room]);
  expect(files.length).toBeLessThanOrEqual(MOST_FILES[room]);
});

function cost(
  [promises, entries, files, clock]: readonly [number, number, number, number],
  [commands, tracked]: readonly [number, number],
  [bytes, outliving]: readonly [number, number],
): Costs {
  return { promises, entries, files, clock, commands, tracked, bytes, outliving };
}

/** In a process without the hooks of a test runner. */
async function measured(): Promise<Readonly<Record<string, Costs>>> {
  await using server = await startOwnRedis();
  const script = join(import.meta.dirname, "measure.ts");
  const options = ["--expose-gc", "--no-warnings", "--conditions=@hotset/source", script, server.url];
  const { stdout } = await promisify(execFile)(process.execPath, options, { cwd: dirname(script) });
  return JSON.parse(stdout) as Record<string, Costs>;
}
