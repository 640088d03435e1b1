import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { forEachOf, Judge, REAL, stage, type Stage } from "./judge.ts";
import { allMutants, type Mutant } from "./mutant.ts";
import { TOP } from "./test-runs.ts";

const WITH_REDIS: ReadonlySet<string> = new Set(["packages/redis", "packages/redis-toolkit"]);
/** Random histories would catch mutants that no story names. */
const UNSUITABLE = /random-histories/;
/** Their tests hold what is measured and traced in other packages. */
const EXPORTERS = /^packages\/metrics\//;

/**
 * Breaks one named rule at a time: a test that names a promise of the rule must fail.
 *
 * @param wanted promises, or parts of the places of files: `C454`, `core/engine/flight`. None for all.
 * @returns whether all were caught.
 */
export async function runNamed(wanted: readonly string[]): Promise<boolean> {
  const chosen = allMutants().filter((mutant) => wanted.length === 0 || wanted.some(isIn(mutant)));
  if (chosen.length === 0) {
    console.error(`no mutant has the promise, or is in a file or room, named ${wanted.join(", ")}`);
    return false;
  }
  const texts = testTexts();
  const judge = new Judge();
  let survived = 0;
  await forEachOf(chosen, async (mutant) => {
    const startedAt = performance.now();
    const stages = stagesOf(mutant, texts);
    const by = await judge.killer(mutant, stages);
    if (by === undefined) survived += 1;
    const took = Math.round((performance.now() - startedAt) / 1_000);
    const passed = stages.length === 0 ? "no test names its promises" : "all tests that name its promises passed";
    const label = `${by === undefined ? "SURVIVED" : "caught  "}  ${mutant.name}`;
    console.log(`${label}  (${took} s)\n            ${by ?? passed}`);
  });
  judge.end();
  console.log(`${chosen.length - survived} passed, ${survived} failed`);
  return survived === 0;
}

/** `C45` is a promise, and not the beginning of C454. */
const isIn =
  ({ name, promises }: Mutant) =>
  (word: string): boolean =>
    /^[A-Z]\d/.test(word) ? promises.includes(word) : name.includes(word);

const testTexts = (): readonly (readonly [file: string, text: string])[] =>
  globSync("packages/*/{src,test}/**/*.test.ts", { cwd: TOP })
    .filter((file) => !UNSUITABLE.test(file))
    .toSorted()
    .map((file) => [file, readFileSync(join(TOP, file), "utf8")]);

/**
 * The files that name its promises: those of its own package and stories, which have nothing to say of the Redis
 * packages; all where none of these does. Those with servers, which take minutes, come last.
 */
function stagesOf({ file, promises }: Mutant, texts: ReturnType<typeof testTexts>): readonly Stage[] {
  const titles = new RegExp(`\\b(?:${promises.join("|")})\\b`);
  const home = file.split("/", 2).join("/");
  const all = texts.filter(([, text]) => titles.test(text)).map(([test]) => test);
  const own = all.filter((test) => test.startsWith(`${home}/`) || EXPORTERS.test(test));
  const stories = WITH_REDIS.has(home) ? [] : all.filter((test) => test.startsWith("packages/stories/"));
  const files = own.length + stories.length === 0 ? all : [...own, ...stories];
  return [
    stage(
      "without servers",
      files.filter((test) => !REAL.test(test)),
      titles,
    ),
    stage(
      "with servers",
      files.filter((test) => REAL.test(test)),
      titles,
    ),
  ].filter((each) => each.files.length > 0);
}
