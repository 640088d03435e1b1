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
export const CHANGED_PACKAGES = ["core", "redis", "redis-toolkit", "http"] as const;
export type ChangedPackage = (typeof CHANGED_PACKAGES)[number];

const TESTED = "{stories,compose,core,formats,hotset,http,keyv,memory,postgres,redis,redis-toolkit,seal,sqlite}";
const all = globSync(`packages/${TESTED}/{src,test}/**/*.test.ts`, { cwd: TOP })
  .map((file) => file.split(sep).join("/"))
  .filter((file) => !ABOUT_TEXT.test(`/${file}`) && !IN_PROCESSES.test(`/${file}`))
  .toSorted();

/** The stages for a change in a source file, from the quick ones to the slow ones. */
export function stagesOf(file: string): readonly Stage[] {
  const own = file.replace(/\.ts$/, ".test.ts");
  const home = `${file.split("/", 2).join("/")}/`;
  const stories = `packages/stories/test/${file.split("/")[1]!}/`;
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
    ...(home !== "packages/core/"
      ? [
          stage(
            "real Redis",
            all.filter((test) => REAL.test(test) && test.startsWith(home)),
          ),
        ]
      : [
          stage("stories", quick.filter(isStory)),
          stage("long tests", [
            ...unit.filter((test) => LONG.test(`/${test}`) && test !== own),
            ...all.filter((test) => GROWTH.test(test)),
          ]),
          stage(
            "other packages",
            quick.filter((test) => /^packages\/(?:memory|formats\/src\/(?:msgpack|zstd))\//.test(test)),
          ),
        ]),
    stage(
      "stories over a real Redis",
      // No story uses the toolkit or HTTP.
      home === "packages/redis-toolkit/" || home === "packages/http/"
        ? []
        : all.filter((test) => REAL.test(test) && isStory(test)),
    ),
  ].filter(({ files }) => files.length > 0);
}
