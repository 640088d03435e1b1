import { execFile } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { ofWorkspace, randomPrefix, startOwnPostgres } from "@hotset/test-servers";
import { parseSync } from "oxc-parser";
import { afterAll, describe, expect, inject, it } from "vitest";

const run = promisify(execFile);
const here = import.meta.dirname;

/** The lines that each example prints. */
const OUTPUT = JSON.parse(readFileSync(join(here, "output.json"), "utf8")) as Readonly<Record<string, string[]>>;

/** Its log can be followed. */
const postgres = await startOwnPostgres({ config: ["wal_level = logical", "max_slot_wal_keep_size = 64MB"] });
afterAll(() => postgres.stop());

/** The published packages of this repository, and the driver that one of them takes a pool of. */
const published = globSync("../../packages/*/package.json", { cwd: here })
  .map((path) => JSON.parse(readFileSync(join(here, path), "utf8")) as { name: string; private?: boolean })
  .flatMap(({ name, private: isPrivate }) => (isPrivate === true ? [] : [name]))
  .concat("pg");

const packageOf = (specifier: string): string => specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");

describe("examples", () => {
  it("every example has its output in the list", async () => {
    const files = await readdir(here);
    expect(files.filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts")).sort()).toEqual(
      Object.keys(OUTPUT),
    );
  });

  it.concurrent.each(Object.entries(OUTPUT))(
    "%s runs to its end, prints exactly its lines, and lets the process exit",
    async (file, lines) => {
      const { stdout, stderr } = await run(process.execPath, [...ofWorkspace(), join(here, file)], {
        env: { ...process.env, REDIS_URL: inject("redisUrl"), POSTGRES_URL: postgres.url, KEY_PREFIX: randomPrefix() },
      });
      // On a busy machine some seconds of a minute have passed.
      const printed = stdout.trimEnd().replaceAll(/\bttl=5\d\b/g, "ttl=59");
      expect({ stderr, lines: printed.split("\n") }).toEqual({ stderr: "", lines });
    },
  );

  it.each(Object.keys(OUTPUT))("%s imports nothing but Node and packages of the registry", (file) => {
    const imported = importsOf(join(here, file));
    expect(imported).not.toEqual([]);
    expect(imported.filter((name) => !name.startsWith("node:") && !published.includes(packageOf(name)))).toEqual([]);
  });
});

/** The packages that a file imports; one in a folder beside it is copied with it, and counts, too. */
function importsOf(path: string): readonly string[] {
  const text = readFileSync(path, "utf8");
  const { module } = parseSync(path, text);
  const specifiers = [
    ...module.staticImports.map(({ moduleRequest }) => moduleRequest.value),
    ...module.dynamicImports.map(({ moduleRequest: { start, end } }) => text.slice(start + 1, end - 1)),
  ];
  return specifiers.flatMap((name) => (/^\.\/[\w-]+\//.test(name) ? importsOf(join(dirname(path), name)) : [name]));
}
