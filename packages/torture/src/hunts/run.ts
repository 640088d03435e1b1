/**
 * Hunts: one module of the toolkit for minutes, in several processes, while workers and servers are killed; an oracle
 * outside Redis says whether a promise was broken. Too long for `npm test`: run nightly and by hand.
 *
 *     npm run torture -- hunts                            every hunt, 2 minutes each
 *     npm run torture -- hunts locks queue --minutes 10   these
 *     npm run torture -- hunts locks --seed 7             the same choices again
 */
import { readdirSync } from "node:fs";
import { parseArgs } from "node:util";
import type { Hunt } from "./hunt.ts";

const { values, positionals } = parseArgs({
  options: { minutes: { type: "string", default: "2" }, seed: { type: "string" } },
  allowPositionals: true,
});
const minutes = Number(values.minutes);
if (!(minutes > 0)) throw new Error(`--minutes ${values.minutes}: accepted is a number above 0`);
const seed = values.seed === undefined ? Date.now() % 1_000_000 : Number(values.seed);
if (!Number.isSafeInteger(seed)) throw new Error(`--seed ${values.seed}: accepted is a whole number`);

const known = readdirSync(import.meta.dirname)
  .flatMap((file) => /^(.+)\.hunt\.ts$/.exec(file)?.[1] ?? [])
  .toSorted();
const unknown = positionals.find((name) => !known.includes(name));
if (unknown !== undefined) throw new Error(`${unknown}: known are ${known.join(", ") || "none"}`);

let failed = 0;
for (const name of positionals.length === 0 ? known : positionals) {
  console.log(`${name}: ${minutes} minutes, seed ${seed}`);
  const { hunt } = (await import(`./${name}.hunt.ts`)) as { readonly hunt: Hunt };
  try {
    console.log(`✓ ${name}: ${await hunt({ minutes, seed })}`);
  } catch (error) {
    failed += 1;
    console.error(`✗ ${name} (seed ${seed})`, error);
  }
}
process.exit(failed === 0 ? 0 : 1);
