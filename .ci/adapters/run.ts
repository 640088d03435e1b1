// Each adapter in the framework it is for, as users install both: packed packages, pinned versions from the registry of
// npm, projects outside the repository, two processes over one Redis; and the adapter that people use today next to it.
//
//   npm run tool -- adapters              all of them; writes the table of docs/guide/use-it-with.md
//   npm run tool -- adapters unstorage    one; prints its rows
//
// Suites of others are read from GitHub, or from clones: ADAPTERS_SOURCES=FOLDER has `owner+name` for each.
//
// Prints a line for each scenario. Fails if one of ours is wrong.

import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { isNightly, startOwnRedis } from "@hotset/test-servers";
import { byName, pack, upstream } from "../newcomer/pack.ts";
import { Project } from "../newcomer/project.ts";
import { startRegistry } from "../newcomer/registry.ts";
import { apollo } from "./apollo.ts";
import { astro } from "./astro.ts";
import { drizzle } from "./drizzle.ts";
import { graphql } from "./graphql.ts";
import { installs } from "./installs.ts";
import { nest } from "./nest.ts";
import { next } from "./next.ts";
import { prisma } from "./prisma.ts";
import { unstorage } from "./unstorage.ts";
import { read, type Row, type Workshop } from "./workshop.ts";

const ADAPTERS: Readonly<Record<string, (workshop: Workshop) => Promise<readonly Row[]>>> = {
  unstorage,
  nest,
  astro,
  drizzle,
  graphql,
  next,
  apollo,
  prisma,
  installs,
};

const top = dirname(dirname(import.meta.dirname));
const PAGE = join(top, "docs/guide/use-it-with.md");
const TABLE = /(?<=<!-- adapters -->\n)[^]*(?=<!-- \/adapters -->)/;

const names = process.argv.slice(2);
const unknown = names.find((name) => ADAPTERS[name] === undefined);
if (unknown !== undefined)
  throw new Error(`No such adapter: ${unknown}. There are: ${Object.keys(ADAPTERS).join(", ")}.`);

await using registry = await startRegistry(byName(pack(top)), upstream());
// turbo-redis-cache needs its events.
await using redis = await startOwnRedis({ config: ["notify-keyspace-events Exe"] });
const projects: Project[] = [];
const rows: Row[] = [];
let isRight = true;
// At night what the page says of ours is checked, not written.
const isWriting = names.length === 0 && !isNightly;
const workshop: Workshop = {
  top,
  redis,
  async project(name, manifest, installer = "npm") {
    const made = new Project(name, registry.url, { type: "module", ...manifest });
    projects.push(made);
    await made.run(installer, ["install", "--ignore-scripts"]);
    return made;
  },
  async source(place) {
    try {
      return await read(place);
    } catch (error) {
      if (isWriting) throw error;
      console.log(`NOT RUN: ${place.path} of ${place.repository}: ${(error as Error).message}`);
      return undefined;
    }
  },
  async count(title, scenarios, isOurs) {
    let right = 0;
    for (const [name, hold] of Object.entries(scenarios)) {
      const reason = await hold().then(
        () => undefined,
        (error: unknown) => String((error as Error).message).split("\n")[0],
      );
      if (reason === undefined) right += 1;
      else if (isOurs) isRight = false;
      console.log(`${title}: ${name}: ${reason === undefined ? "right" : `WRONG (${reason})`}`);
    }
    return `${right} of ${Object.keys(scenarios).length}`;
  },
};

try {
  for (const name of names.length === 0 ? Object.keys(ADAPTERS) : names)
    rows.push(...(await ADAPTERS[name]!(workshop)));
} finally {
  for (const each of projects) each.remove();
}
const lines = rows.map((row) => `| ${[row.adapter, row.suite, row.ours, row.today].join(" | ")} |\n`);
const table = ["\n| adapter | test | passed | usual adapter |\n|---|---|---|---|\n", ...lines, "\n"].join("");
console.log(table);
const page = readFileSync(PAGE, "utf8");
if (isWriting) writeFileSync(PAGE, page.replace(TABLE, table));
const isWritten = rows.every(({ suite, ours }) => page.includes(`| ${suite} | ${ours} |`));
process.exitCode = isRight && (isWritten || !isNightly) ? 0 : 1;
