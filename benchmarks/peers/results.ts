import { execFileSync } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { dirname, join } from "node:path";
import { PRODUCTS } from "../contenders/index.ts";
import { spread, type Spread } from "../measure.ts";
import type { Metrics } from "./workloads.ts";

export const RESULTS = join(import.meta.dirname, "../results");

/** Where and when figures were taken. */
export interface Machine {
  readonly commit: string;
  readonly startedAt: string;
  readonly node: string;
  readonly redis: string;
  readonly cpu: string;
  readonly cores: number;
  readonly loadBefore: number;
  readonly rounds: number;
  readonly roundMs: number;
  /** The exact ones of the packages. */
  readonly versions: Readonly<Record<string, string>>;
}

/** One line of a journal: a run that was interrupted goes on behind it. */
export interface Sample {
  readonly scenario: string;
  readonly product: string;
  /** `"last"`: figures that are taken once. */
  readonly round: number | "last";
  readonly metrics?: Metrics;
  readonly error?: string;
}

export interface Row {
  readonly scenario: string;
  readonly product: string;
  readonly metrics: Readonly<Record<string, Spread>>;
  /** Why it could not be measured. */
  readonly error?: string;
}

export interface Results {
  readonly machine: Machine;
  /** The most of one core that other processes used during a scenario. */
  readonly othersOfACore: number;
  /** Parts that were measured later, with `--merge`. */
  readonly later?: readonly Later[];
  readonly rows: readonly Row[];
}

/** Figures of a later commit, in place of the former ones. */
export interface Later extends Pick<Machine, "commit" | "startedAt"> {
  readonly what: string;
}

export function machineOf(redis: string, rounds: number, roundMs: number): Machine {
  return {
    commit: execFileSync("git", ["rev-parse", "--short=12", "HEAD"], { encoding: "utf8" }).trim(),
    startedAt: new Date().toISOString(),
    node: process.version,
    redis,
    cpu: cpus()[0]!.model,
    cores: cpus().length,
    loadBefore: Math.round(loadavg()[0]! * 10) / 10,
    rounds,
    roundMs,
    versions: versionsOf([...new Set(PRODUCTS.flatMap(({ packages }) => packages))]),
  };
}

function versionsOf(packages: readonly string[]): Readonly<Record<string, string>> {
  const versionOf = (name: string): string => {
    const manifest = join(import.meta.dirname, "../node_modules", name, "package.json");
    return (JSON.parse(readFileSync(manifest, "utf8")) as { version: string }).version;
  };
  return Object.fromEntries(packages.toSorted().map((name) => [name, versionOf(name)]));
}

/** Samples in a file, one JSON object a line, the first with the machine. */
export class Journal {
  readonly machine: Machine;
  readonly samples: Sample[];
  readonly #path: string;

  constructor(path: string, machine: Machine, goesOn: boolean) {
    this.#path = path;
    const [first, ...lines] = goesOn && existsSync(path) ? readFileSync(path, "utf8").trim().split("\n") : [];
    this.machine = first === undefined ? machine : (JSON.parse(first) as Machine);
    this.samples = lines.map((line) => JSON.parse(line) as Sample);
    if (first !== undefined) return;
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `${JSON.stringify(machine)}\n`);
  }

  add(sample: Sample): void {
    this.samples.push(sample);
    // A time that never ended is Infinity, for which JSON has no word.
    appendFileSync(
      this.#path,
      `${JSON.stringify(sample, (_, value: unknown) => (value === Infinity ? 1e9 : value))}\n`,
    );
  }

  has(scenario: string, product: string): boolean {
    return this.samples.some((sample) => sample.scenario === scenario && sample.product === product);
  }

  hasFailed(scenario: string, product: string): boolean {
    return this.samples.some(
      (sample) => sample.scenario === scenario && sample.product === product && sample.error !== undefined,
    );
  }

  rows(): readonly Row[] {
    const sides = new Map<string, Sample[]>();
    for (const sample of this.samples) {
      const name = JSON.stringify([sample.scenario, sample.product]);
      sides.set(name, [...(sides.get(name) ?? []), sample]);
    }
    return [...sides.values()].map((samples): Row => {
      const { scenario, product } = samples[0]!;
      const error = samples.find((sample) => sample.error !== undefined)?.error;
      const names = [...new Set(samples.flatMap(({ metrics = {} }) => Object.keys(metrics)))];
      const metrics = Object.fromEntries(
        names.map((name) => [name, rounded(spread(samples.flatMap(({ metrics: each }) => each?.[name] ?? [])))]),
      );
      return { scenario, product, metrics, ...(error !== undefined && { error }) };
    });
  }
}

/** Packages of contenders that joined after these results were taken, or whose set-up has changed since. */
export function packagesWithoutFigures({ machine: { versions } }: Pick<Results, "machine">): readonly string[] {
  const used = PRODUCTS.flatMap(({ packages }) => packages);
  return [...new Set(used)].filter((name) => versions[name] === undefined).toSorted();
}

export function writeResults(name: string, results: Results): void {
  mkdirSync(RESULTS, { recursive: true });
  const rows = results.rows.map((row) => JSON.stringify(row)).join(",\n    ");
  const head = JSON.stringify({ ...results, rows: undefined }, null, 2);
  writeFileSync(join(RESULTS, `${name}.json`), `${head.slice(0, -2)},\n  "rows": [\n    ${rows}\n  ]\n}\n`);
}

/**
 * The results with the figures of a later run in place of theirs.
 *
 * @param what which figures these are, for people.
 * @throws when they are of other packages.
 */
export function merged(results: Results, what: string, { machine, rows }: Pick<Results, "machine" | "rows">): Results {
  // Our own figures are of a later commit, which the page names.
  const ofOthers = ({ versions }: Machine): string => JSON.stringify({ ...versions, hotset: undefined });
  if (ofOthers(machine) !== ofOthers(results.machine))
    throw new Error("the results are of other versions of the packages: run everything");
  const nameOf = ({ scenario, product }: Row): string => JSON.stringify([scenario, product]);
  const all = new Map(results.rows.map((row) => [nameOf(row), row]));
  for (const row of rows) {
    const former = all.get(nameOf(row));
    all.set(nameOf(row), { ...row, metrics: { ...former?.metrics, ...row.metrics } });
  }
  const { commit, startedAt } = machine;
  return {
    ...results,
    machine: { ...results.machine, versions: machine.versions },
    later: [...(results.later ?? []).filter((each) => each.what !== what), { commit, startedAt, what }],
    rows: [...all.values()],
  };
}

export function readResults(name: string): Results {
  return JSON.parse(readFileSync(join(RESULTS, `${name}.json`), "utf8")) as Results;
}

/** Four digits: more would say more than was measured. */
function rounded({ median, least, most }: Spread): Spread {
  const short = (value: number): number => (Number.isFinite(value) ? Number(value.toPrecision(4)) : 1e9);
  return { median: short(median), least: short(least), most: short(most) };
}
