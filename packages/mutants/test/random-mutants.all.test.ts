import { globSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { withoutRule } from "../src/mutant.ts";
import { asMarkdown } from "../src/random.ts";
import { ruleAt, sitesOf } from "../src/sites.ts";
import { CHANGED_PACKAGES, stagesOf } from "../src/stages.ts";

const top = resolve(import.meta.dirname, "../../..");

/** All changes of a source, as kind and changed text. */
const changesOf = (text: string): readonly (readonly [string, string])[] =>
  sitesOf("sample.ts", text).map((site) => [site.kind, ruleAt("sample.ts", text, site).after]);

describe("random mutants", () => {
  it.each<readonly [text: string, changes: readonly (readonly [string, string])[]]>([
    ["if (a) b;", [["condition negated", "if (!(a)) b;"]]],
    [
      "x = a < b;",
      [
        ["assignment dropped", ";"],
        ["< to <=", "x = ((a) <= (b));"],
      ],
    ],
    ["const c = a || b;", [["|| to &&", "const c = ((a) && (b));"]]],
    ["const MAX_KEYS = 10;", [["bound removed", "const MAX_KEYS = Infinity;"]]],
    ["f(1);", [["call dropped", ";"]]],
    ["n += 1;", [["assignment dropped", ";"]]],
    ['const text = a + "b";', []],
    ["const maxKeys = 10;", []],
    ["type A = B extends C ? 1 : 2;", []],
  ])("%s", (text, changes) => {
    expect(changesOf(text)).toEqual(changes);
  });

  it("drop what an async function waits for, returns and does", () => {
    expect(changesOf("async function f() { await g(); return h; }")).toEqual([
      ["returned early", "async function f() { return undefined; await g(); return h; }"],
      ["call dropped", "async function f() { ; return h; }"],
      ["await dropped", "async function f() { (g()); return h; }"],
      ["result dropped", "async function f() { await g(); return undefined; }"],
    ]);
  });

  it("are rules that occur once, also where lines are equal", () => {
    const text = "a();\nb();\na();\nc();\n";
    const changed = sitesOf("sample.ts", text).map((site) => withoutRule(text, ruleAt("sample.ts", text, site)));
    expect(changed).toEqual([
      ";\nb();\na();\nc();\n",
      "a();\n;\na();\nc();\n",
      "a();\nb();\n;\nc();\n",
      "a();\nb();\na();\n;\n",
    ]);
  });

  it("run the tests beside the file first, then those of its package, and those with servers last", () => {
    const names = (file: string): readonly string[] => stagesOf(file).map(({ name }) => name);
    expect(names("packages/redis-toolkit/src/queue/events.ts")).toEqual([
      "own tests",
      "tests of the package",
      "real servers",
    ]);
    expect(names("packages/redis/src/client/pool.ts").at(-1)).toBe("stories over a real Redis");
    expect(names("packages/core/src/engine/flights.ts")).toContain("stories");
    const [own, units, real] = stagesOf("packages/redis-toolkit/src/queue/events.ts");
    expect(own!.files).toEqual(["packages/redis-toolkit/src/queue/events.test.ts"]);
    for (const { files } of [units!, real!])
      expect(files.every((file) => file.startsWith("packages/redis-toolkit/"))).toBe(true);
    expect([units!.needsServers, real!.needsServers]).toEqual([false, true]);
  });

  it("that survive are a table in Markdown, with what there was no time for", () => {
    const text = "a = b || c;\n";
    const [, swap] = sitesOf("sample.ts", text).map((site) => ruleAt("sample.ts", text, site));
    const verdicts = [
      { rule: swap!, fate: "SURVIVED" },
      { rule: swap!, fate: "killed" },
    ] as const;
    expect(asMarkdown({ seed: 7, packages: ["memory"] }, verdicts, 3).split("\n")).toEqual([
      "### Random mutants of memory, seed 7",
      "",
      "1 killed, 1 survived, 3 not begun in time.",
      "",
      "| survivor | before | after |",
      "|---|---|---|",
      "| `` sample.ts:1 \\|\\| to && `` | `` a = b \\|\\| c; `` | `` a = ((b) && (c)); `` |",
      "",
      "",
    ]);
    expect(asMarkdown({ seed: 7, packages: ["memory"] }, [], 0)).not.toContain("survivor |");
  });

  it("are found all over the sources, and each changes its file", () => {
    const unchanged: string[] = [];
    for (const name of CHANGED_PACKAGES) {
      let count = 0;
      for (const file of globSync(`packages/${name}/{src,entries}/**/*.ts`, { cwd: top })) {
        const text = readFileSync(join(top, file), "utf8");
        for (const site of sitesOf(file, text)) {
          if (withoutRule(text, ruleAt(file, text, site)) === text) unchanged.push(`${file}: ${JSON.stringify(site)}`);
          count += 1;
        }
      }
      expect(count, name).toBeGreaterThan(50);
    }
    expect(unchanged).toEqual([]);
  });
});
