import { globSync } from "node:fs";
import { sep } from "node:path";
import { REAL, stage, type Stage } from "./judge.ts";
import { TOP } from "./test-runs.ts";

/** About the repository itself: its texts and tools. */
const ABOUT_TEXT = /\/stories\/test\/project\//;
/** Members of these are processes of their own, in which no rule is broken. */
const IN_PROCESSES =
  /\/stories\/test\/processes\/.*\.(?:integration|nightly)|\/(?:contract-processes|process)\.(?:integration|nightly)/;
/** Random histories, and heaps: half a minute each. */
const LONG = /\/random-histories[^/]*\.test|\/read-through\/memory\.test/;
/** Millions of keys and heaps, next to the source. */
const GROWTH = /^packages\/core\/src\/.*\.(?:all|alone)\.test/;

/** The packages whose sources are changed. */
export const CHANGED_PACKAGES = [
  "core",
  "redis",
  "redis-toolkit",
  "http",
  ...["memory", "formats", "seal", "sqlite", "postgres", "postgres-follow", "metrics", "cli", "inspector"],
] as const;
export type ChangedPackage = (typeof CHANGED_PACKAGES)[number];

/** Of the others no story says anything that their own tests do not. */
const IN_STORIES: ReadonlySet<string> = new Set(["core", "redis", "memory", "formats", "seal"]);

const all = globSync("packages/*/{src,test}/**/*.test.ts", { cwd: TOP })
  .map((file) => file.split(sep).join("/"))
  .filter((file) => !ABOUT_TEXT.test(`/${file}`) && !IN_PROCESSES.test(`/${file}`))
  .toSorted();

/** The stages for a change in a source file, from the quick ones to the slow ones. */
export function stagesOf(file: string): readonly Stage[] {
  const own = file.replace(/\.ts$/, ".test.ts");
  const folder = file.split("/")[1]!;
  const home = `packages/${folder}/`;
  const stories = `packages/stories/test/${folder}/`;
  const unit = all.filter((test) => !REAL.test(test));
  const quick = unit.filter((test) => !LONG.test(`/${test}`) && test !== own);
  const isStory = (test: string): boolean => test.startsWith("packages/stories/");
  return [
    stage(
      "own tests",
      unit.filter((test) => test === own),
    ),
    stage(
      "tests of the package",
      quick.filter((test) => test.startsWith(home) || test.startsWith(stories)),
    ),
    ...(folder === "core"
      ? [
          stage("stories", quick.filter(isStory)),
          stage("long tests", [
            ...unit.filter((test) => LONG.test(`/${test}`) && test !== own),
            ...all.filter((test) => GROWTH.test(test)),
          ]),
          stage(
            "other packages",
            quick.filter((test) => /^packages\/(?:memory|formats\/src\/(?:msgpack|zstd))\//.test(test)),
          ),
        ]
      : [
          stage(
            "real servers",
            all.filter((test) => REAL.test(test) && test.startsWith(home)),
          ),
        ]),
    stage(
      "stories over a real Redis",
      IN_STORIES.has(folder) ? all.filter((test) => REAL.test(test) && isStory(test)) : [],
    ),
  ].filter(({ files }) => files.length > 0);
}
