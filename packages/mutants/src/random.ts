import { appendFileSync, globSync, readFileSync } from "node:fs";
import { join, sep } from "node:path";
import { Random } from "@hotset/test-servers";
import { EQUIVALENT } from "./equivalent.ts";
import { forEachOf, Judge } from "./judge.ts";
import { ruleAt, sitesOf, type Site } from "./sites.ts";
import { stagesOf, type ChangedPackage } from "./stages.ts";
import { TOP } from "./test-runs.ts";

export interface RandomOptions {
  readonly count: number;
  /** The same seed chooses the same changes of the same sources. */
  readonly seed: number;
  readonly packages: readonly ChangedPackage[];
  /** Only files whose path contains it. */
  readonly part: string;
  /** No change is begun later than this after the first. */
  readonly minutes: number;
  /** A file to which the survivors are added, as Markdown. */
  readonly report: string | undefined;
}

export type Changed = ReturnType<typeof ruleAt>;

/** A change, and whether a test noticed. */
export interface Verdict {
  readonly rule: Changed;
  readonly fate: "killed" | "SURVIVED" | "equivalent";
}

/**
 * Breaks random places of the sources, one at a time, and runs first the tests beside the file, then those of its
 * package, then the stories, then what takes long, until a test fails or a run hangs.
 *
 * @returns whether only changes survived that are known to be equivalent.
 */
export async function runRandom(options: RandomOptions): Promise<boolean> {
  console.log(`seed ${options.seed}`);
  const judge = new Judge();
  const verdicts: Verdict[] = [];
  const until = performance.now() + 60_000 * options.minutes;
  const changes = chosen(options);
  await forEachOf(changes, async (rule) => {
    const startedAt = performance.now();
    if (startedAt >= until) return;
    const known = EQUIVALENT.find(
      ({ file, before, after }) => file === rule.file && before === rule.before && after === rule.after,
    );
    const by = known?.reason ?? (await judge.killer(rule, stagesOf(rule.file)));
    const fate = known !== undefined ? "equivalent" : by === undefined ? "SURVIVED" : "killed";
    verdicts.push({ rule, fate });
    const took = Math.round((performance.now() - startedAt) / 1_000);
    console.log(`${fate.padEnd(10)}  ${rule.name}  (${took} s)\n            ${by ?? rule.after}`);
  });
  judge.end();
  const late = changes.length - verdicts.length;
  if (late > 0) console.log(`\n${late} changes were not begun within ${options.minutes} minutes`);
  if (options.report !== undefined) appendFileSync(options.report, asMarkdown(options, verdicts, late));
  return report(verdicts);
}

/** Each site of all sources is chosen with the same chance. */
function chosen({ count, seed, packages, part }: RandomOptions): Changed[] {
  const places = packages
    .flatMap((name) => globSync(`packages/${name}/{src,entries}/**/*.ts`, { cwd: TOP }))
    .map((file) => file.split(sep).join("/"))
    .filter((file) => !/\.test(?:-d)?\.ts$|^packages\/core\/src\/testing\//.test(file) && file.includes(part))
    .toSorted()
    .flatMap((file) => {
      const text = readFileSync(join(TOP, file), "utf8");
      return sitesOf(file, text).map((site): readonly [string, string, Site] => [file, text, site]);
    });
  const random = new Random(seed);
  const rules: Changed[] = [];
  while (rules.length < count && places.length > 0)
    rules.push(ruleAt(...places.splice(random.below(places.length), 1)[0]!));
  return rules;
}

/** A table by file, the survivors, and the rate as the last line. */
function report(verdicts: readonly Verdict[]): boolean {
  const byFile = Map.groupBy(verdicts, ({ rule }) => rule.file);
  console.log("\nfile: killed of changes that are not equivalent");
  for (const [file, group] of [...byFile].toSorted(([a], [b]) => (a < b ? -1 : 1)))
    console.log(`${file}: ${count(group, "killed")} of ${group.length - count(group, "equivalent")}`);
  const survivors = verdicts.filter(({ fate }) => fate === "SURVIVED");
  console.log(`\n${survivors.length} survivors`);
  for (const { rule } of survivors) console.log(`${rule.name}\n  - ${rule.before}\n  + ${rule.after}`);
  const [killed, judged] = [count(verdicts, "killed"), verdicts.length - count(verdicts, "equivalent")];
  const rate = judged === 0 ? "" : ` (${((100 * killed) / judged).toFixed(1)} %)`;
  console.log(`${killed} killed, ${survivors.length} survived${rate}, ${verdicts.length - judged} equivalent`);
  return survivors.length === 0;
}

/** A table of the survivors, for the summary of a nightly run. */
export function asMarkdown(
  { seed, packages }: Pick<RandomOptions, "seed" | "packages">,
  verdicts: readonly Verdict[],
  late: number,
): string {
  const cell = (text: string): string => `\`\` ${text.replaceAll("|", "\\|")} \`\``;
  const survivors = verdicts.filter(({ fate }) => fate === "SURVIVED");
  const head =
    `### Random mutants of ${packages.join(", ")}, seed ${seed}\n\n` +
    `${count(verdicts, "killed")} killed, ${survivors.length} survived, ${late} not begun in time.\n\n`;
  if (survivors.length === 0) return head;
  const rows = survivors.map(({ rule }) => `| ${cell(rule.name)} | ${cell(rule.before)} | ${cell(rule.after)} |\n`);
  return `${head}| survivor | before | after |\n|---|---|---|\n${rows.join("")}\n`;
}

const count = (verdicts: readonly Verdict[], fate: Verdict["fate"]): number =>
  verdicts.filter((verdict) => verdict.fate === fate).length;
