/**
 * Breaks one rule at a time, and looks for a test that notices.
 *
 *     npm run mutants                                  every named mutant: a test that names its promise must fail
 *     npm run mutants -- C454 core/engine/flight       those of a promise, those of a file or room
 *     npm run mutants -- --random 60                   small random changes instead: any test may fail
 *     npm run mutants -- --random 60 --seed 7          the same changes again, of the same sources
 *     npm run mutants -- --random 60 --package redis   of one package
 *     npm run mutants -- --random 60 --minutes 120 --report survivors.md   within a time, with a table of survivors
 *     npm run mutants -- --random 60 --in core/src/tiers   of the files whose path contains this
 */
import { parseArgs } from "node:util";
import { runNamed } from "./named.ts";
import { runRandom } from "./random.ts";
import { CHANGED_PACKAGES, type ChangedPackage } from "./stages.ts";

const { values, positionals } = parseArgs({
  options: {
    random: { type: "string" },
    seed: { type: "string" },
    package: { type: "string" },
    in: { type: "string", default: "" },
    minutes: { type: "string" },
    report: { type: "string" },
  },
  allowPositionals: true,
});
const allCaught =
  values.random === undefined
    ? await runNamed(positionals)
    : await runRandom({
        count: whole("--random", values.random),
        seed: values.seed === undefined ? Math.floor(Date.now() / 1_000) % 1_000_000 : whole("--seed", values.seed),
        packages: packagesOf(values.package),
        part: values.in,
        minutes: values.minutes === undefined ? Infinity : whole("--minutes", values.minutes),
        report: values.report,
      });
process.exit(allCaught ? 0 : 1);

function whole(name: string, text: string): number {
  if (!/^\d+$/.test(text)) throw new Error(`${name} ${text}: accepted is a whole number`);
  return Number(text);
}

function packagesOf(given: string | undefined): readonly ChangedPackage[] {
  if (given === undefined) return CHANGED_PACKAGES;
  const one = CHANGED_PACKAGES.find((name) => name === given);
  if (one === undefined) throw new Error(`--package ${given}: accepted are ${CHANGED_PACKAGES.join(", ")}`);
  return [one];
}
