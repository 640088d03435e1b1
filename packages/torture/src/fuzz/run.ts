/**
 * Gives random bytes to everything that reads a shared store: formats, compressors, meta and seals. Each round must
 * end as the promises say (C141, C143, C150, C152).
 *
 *     npm run torture -- fuzz                         2 minutes
 *     npm run torture -- fuzz --minutes 30 --seed 1   from this seed on
 *     npm run torture -- fuzz --target msgpack --seed 17 --rounds 1 that round again
 */
import { parseArgs } from "node:util";
import { Fuzzer, type Failure } from "./fuzzer.ts";
import { TARGETS } from "./targets.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "2" },
    /** The first one. */
    seed: { type: "string", default: String(Math.floor(Date.now() / 1_000) % 1_000_000) },
    /** For each target; without it there are as many as the time allows. */
    rounds: { type: "string" },
    target: { type: "string" },
  },
});

const targets = values.target === undefined ? Object.keys(TARGETS) : [values.target];
if (!targets.every((name) => name in TARGETS))
  throw new Error(`--target ${values.target}; there are: ${Object.keys(TARGETS).join(", ")}`);
const [minutes, seed, rounds] = [Number(values.minutes), Number(values.seed), Number(values.rounds ?? Infinity)];
if (![minutes, seed, rounds].every((number) => number >= 0))
  throw new Error("--minutes, --seed and --rounds must be numbers");

console.log(`${targets.join(", ")}: seeds from ${seed}`);
const fuzzer = new Fuzzer(new URL("rounds.ts", import.meta.url).pathname);
const failures: Failure[] = [];
const done = new Map(targets.map((name) => [name, 0]));
const endsAt = performance.now() + minutes * 60_000;
const BATCH = 500;
for (let first = 0; first < rounds && performance.now() < endsAt; first += BATCH)
  for (const target of targets) {
    const count = Math.min(BATCH, rounds - first);
    const failure = await fuzzer.run(target, seed + first, count);
    done.set(target, done.get(target)! + count);
    if (failure === undefined) continue;
    failures.push(failure);
    console.log(`${target}, seed ${failure.seed}: ${failure.reason}`);
    console.log(`  again: npm run torture -- fuzz --target ${target} --seed ${failure.seed} --rounds 1`);
  }
for (const [target, count] of done) console.log(`${target}: ${count} rounds`);
console.log(failures.length === 0 ? "every input was a value or a miss, within bounds" : `${failures.length} failed`);
process.exitCode = failures.length === 0 ? 0 : 1;
