/**
 * Runs rounds of one target in a process with 256 MB of heap, which ends with the first that breaks a promise. Prints
 * the seed of each round before it, so that the last one is known if the process dies.
 *
 *     rounds.ts <target> <first seed> <number of rounds>
 */
import { writeSync } from "node:fs";
import { inspect } from "node:util";
import { Random } from "@hotset/test-servers";
import { TARGETS } from "./targets.ts";

const [target, first, rounds] = process.argv.slice(2) as [string, string, string];
const run = TARGETS[target]!;
for (let seed = Number(first); seed < Number(first) + Number(rounds); seed += 1) {
  writeSync(1, `${seed}\n`);
  try {
    await run(new Random(seed));
  } catch (error) {
    writeSync(2, inspect(error).slice(0, 4_000));
    process.exit(1);
  }
}
