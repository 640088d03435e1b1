/** Stands for `fuzz/rounds.ts`: its target fails in round 7, in the way that it names. */
import { writeSync } from "node:fs";

const [way, first, rounds] = process.argv.slice(2) as [string, string, string];
for (let seed = Number(first); seed < Number(first) + Number(rounds); seed += 1) {
  writeSync(1, `${seed}\n`);
  if (seed !== 7) continue;
  if (way === "throws") throw new Error("a promise is broken");
  if (way === "fills the heap") for (const held: unknown[] = []; ;) held.push(new Array(1_000).fill(held.length));
  if (way === "stands still") for (;;);
}
