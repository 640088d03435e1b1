/**
 * Gives random bytes to everything that reads a shared store: formats, compressors, meta and seals. Each round must
 * be a value or a miss (C150 with a seal).
 *
 *     npm run torture -- fuzz                              2 minutes
 *     npm run torture -- fuzz --minutes 30 --seed 1        the same rounds each time
 *     npm run torture -- fuzz --target msgpack --seed 17   of one target alone
 */
import { parseArgs } from "node:util";
import { fuzz, TARGETS } from "./targets.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "2" },
    seed: { type: "string", default: String(Math.floor(Date.now() / 1_000) % 1_000_000) },
    target: { type: "string" },
  },
});
const [minutes, seed] = [Number(values.minutes), Number(values.seed)];
if (![minutes, seed].every((number) => number >= 0)) throw new Error("--minutes and --seed must be numbers");
const targets = values.target === undefined ? Object.keys(TARGETS) : [values.target];
if (!targets.every((name) => name in TARGETS))
  throw new Error(`--target ${values.target}; there are: ${Object.keys(TARGETS).join(", ")}`);

console.log(`${targets.join(", ")}: seed ${seed}`);
let failed = 0;
for (const target of targets)
  try {
    const limitMs = (minutes * 60_000) / targets.length;
    await fuzz(target, { seed, numRuns: Infinity, interruptAfterTimeLimit: limitMs });
  } catch (error) {
    failed += 1;
    console.log(`${target}:`, error);
  }
console.log(failed === 0 ? "every input was a value or a miss, within bounds" : `${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
