/**
 * Counts of the sources, for the ratchets. Tests and generated files do not count; comments and blank lines do.
 *
 *   node --conditions=@hotset/source packages/stories/test/ratchets/counts.ts
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const top = fileURLToPath(new URL("../../../../", import.meta.url));
const read = (file: string): string => readFileSync(join(top, file), "utf8");

const tracked = (...patterns: readonly string[]): readonly string[] =>
  execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", ...patterns], { cwd: top })
    .toString()
    .split("\n")
    .filter((file) => file !== "" && !/\.test(-d)?\.ts$/.test(file));

const linesOf = (files: readonly string[]): readonly string[] =>
  files.flatMap((file) => read(file).split("\n").slice(0, -1));

/** Fields of a class; methods and accessors are none. */
function fieldsOf(file: string, name: string): number {
  const [, body] = read(file).split(`class ${name} `);
  return body!
    .slice(0, body!.indexOf("\n  constructor("))
    .match(/^ {2}(?:override |declare |readonly )*#?\w+[?!]?(?::| = |;)/gm)!.length;
}

/** Names that an entry hands on; an entry is a list of them. */
function namesOf(file: string): number {
  const lists = [...read(file).matchAll(/^export (?:type )?\{([^}]*)\}/gms)];
  const declared = read(file).match(/^export (?:const|function|class|type (?!\{)|interface|async)\b/gm) ?? [];
  const listed = lists.flatMap(([, names]) => names!.split(",").filter((each) => each.trim() !== ""));
  return listed.length + declared.length;
}

interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly exports?: Readonly<Record<string, string | { readonly "@hotset/source"?: string }>>;
}

/** Entries of published packages, by package; not of the toolkit, nor those that may change. */
function entries(): ReadonlyMap<string, readonly string[]> {
  const manifests = tracked("packages/*/package.json").map((file) => ({
    file,
    of: JSON.parse(read(file)) as Manifest,
  }));
  return new Map(
    manifests
      .filter(({ of }) => of.private !== true && of.name !== "@hotset/redis-toolkit")
      .map(({ file, of }) => [
        of.name,
        Object.entries(of.exports ?? {}).flatMap(([path, target]) => {
          const source = typeof target === "object" ? target["@hotset/source"] : undefined;
          return source === undefined || path === "./internal" ? [] : [join(file, "..", source)];
        }),
      ]),
  );
}

/** The names of the counts. */
export type Counted =
  | "core, lines"
  | "core, files"
  | "core, classes"
  | "core, lines over 100 columns"
  | "engine, lines"
  | "engine, files"
  | "entries beside core, lines"
  | "redis, lines"
  | "http, lines"
  | "fields of a flight and its guard"
  | "names of hotset"
  | "names of all packages without the toolkit";

/** All counts. */
export function counts(): Readonly<Record<Counted, number>> {
  const core = tracked("packages/core/src/*.ts");
  const engine = core.filter((file) => file.startsWith("packages/core/src/engine/"));
  const lines = linesOf(core);
  const public_ = entries();
  return {
    "core, lines": lines.length,
    "core, files": core.length,
    "core, classes": lines.filter((line) => /^(?:export )?(?:abstract )?class /.test(line)).length,
    "core, lines over 100 columns": lines.filter((line) => line.length > 100).length,
    "engine, lines": linesOf(engine).length,
    "engine, files": engine.length,
    "entries beside core, lines": linesOf(tracked("packages/core/entries/**/*.ts")).length,
    "redis, lines": linesOf(tracked("packages/redis/src/*.ts")).length,
    "http, lines": linesOf(tracked("packages/http/src/*.ts")).length,
    "fields of a flight and its guard":
      fieldsOf("packages/core/src/engine/flight.ts", "OneRead") +
      fieldsOf("packages/core/src/engine/flight.ts", "OneFlight") +
      fieldsOf("packages/core/src/coherence/guards.ts", "Guard"),
    "names of hotset": (public_.get("hotset") ?? []).slice(0, 1).reduce((sum, file) => sum + namesOf(file), 0),
    "names of all packages without the toolkit": [...public_.values()]
      .flat()
      .reduce((sum, file) => sum + namesOf(file), 0),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.table(counts());
