import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { startOwnRedis } from "@hotset/test-servers";
import { describe, expect, it } from "vitest";
import { counts } from "./counts.ts";
import type { Costs } from "./measure.ts";

/**
 * Counts that may fall and not rise: a decision page says why one is raised. Promises, files,
 * clock reads, commands and tracked keys are exact. Entries have a hundredth of room, since a slow answer of Redis
 * starts a timer; bytes have a fifth, or more where they are few.
 */
const MOST: Readonly<Record<string, Costs>> = {
  "miss, memory over Redis": cost([8, 620, 73, 19], [9, 1], [37_000, 700]),
  "miss, Redis alone": cost([8, 600, 67, 19], [8, 0], [33_000, 600]),
  "miss, memory alone": cost([5, 205, 36, 5], [0, 0], [10_000, 300]),
  "hit in Redis": cost([4, 262, 45, 8], [2, 0], [2_700, 100]),
  "hit in memory": cost([2, 13, 12, 1], [0, 0], [500, 100]),
  set: cost([11, 412, 67, 11], [6, 1], [20_000, 3_000]),
  delete: cost([4, 157, 34, 5], [2, 0], [9_000, 400]),
  "delete of nothing": cost([4, 157, 34, 5], [2, 0], [9_000, 400]),
  // On a busy machine its trips are cut otherwise: a few promises more.
  "batch of 100": cost([40, 69_400, 83, 1_610], [1_100, 100], [3_900_000, 105_000]),
  "batch of 100 hits": cost([26, 19_900, 54, 110], [200, 0], [350_000, 80_000]),
};

/**
 * Counts of the sources, as `counts.ts` prints them: the values that were reached. A line that a later change needs is
 * paid by another that goes, in the same commit.
 */
const MOST_COUNTS: ReturnType<typeof counts> = {
  "core, lines": 16_868,
  "core, files": 120,
  "core, classes": 92,
  "core, lines over 100 columns": 1_430,
  "engine, lines": 5_405,
  "engine, files": 25,
  "entries beside core, lines": 2_936,
  "redis, lines": 9_933,
  "http, lines": 6_718,
  "fields of a flight and its guard": 54,
  "names of hotset": 89,
  "names of all packages without the toolkit": 543,
};

describe("a call", async () => {
  const runs = [await measured()];
  const risen = (name: string): readonly (readonly [string, number])[] =>
    Object.entries(MOST[name]!)
      .map(([what, most]) => [what, Math.min(...runs.map((run) => run[name]![what as keyof Costs])), most] as const)
      .flatMap(([what, least, most]) => (least > most ? [[what, least]] : []));
  while (runs.length < 3 && Object.keys(MOST).some((name) => risen(name).length !== 0)) runs.push(await measured());

  it.each(Object.keys(MOST))("costs no more than before: %s", (name) => expect(risen(name)).toEqual([]));
});

it("the sources count no more than before", () => {
  const risen = Object.entries(counts()).filter(
    ([what, count]) => count > MOST_COUNTS[what as keyof typeof MOST_COUNTS],
  );
  expect(Object.fromEntries(risen)).toEqual({});
});

function cost(
  [promises, entries, files, clock]: readonly [number, number, number, number],
  [commands, tracked]: readonly [number, number],
  [bytes, outliving]: readonly [number, number],
): Costs {
  return { promises, entries, files, clock, commands, tracked, bytes, outliving };
}

/** In a process without the hooks of a test runner, in production: elsewhere a cache looks for mistakes too. */
async function measured(): Promise<Readonly<Record<string, Costs>>> {
  await using server = await startOwnRedis();
  const options = ["--expose-gc", "--no-warnings", "--conditions=@hotset/source", "measure.ts", server.url];
  const env = { ...process.env, NODE_ENV: "production" };
  const { stdout } = await promisify(execFile)(process.execPath, options, { cwd: import.meta.dirname, env });
  return JSON.parse(stdout) as Record<string, Costs>;
}
