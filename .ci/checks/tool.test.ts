import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { commandsOf, TOOLS } from "../tool.ts";

const top = join(import.meta.dirname, "../..");
const { scripts } = JSON.parse(readFileSync(join(top, "package.json"), "utf8")) as {
  readonly scripts: Readonly<Record<string, string>>;
};

it("every group is a script, and every tool a file", () => {
  for (const [group, tools] of Object.entries(TOOLS)) {
    expect(scripts[group]).toContain(`.ci/tool.ts ${group}`);
    for (const file of Object.values(tools).flatMap((command) => command.filter((word) => /\.m?ts$|\.mjs$/.test(word))))
      if (!file.includes("*")) expect(existsSync(join(top, file)), file).toBe(true);
  }
});

it("the first word selects a tool of a group, and the rest are its arguments", () => {
  expect(commandsOf("bench", ["peers", "memory hit"])[0]?.slice(-2)).toEqual(["benchmarks/peers/run.ts", "memory hit"]);
  expect(commandsOf("bench", ["memory hit"])[0]?.slice(-2)).toEqual(["benchmarks/run.ts", "memory hit"]);
  expect(commandsOf("torture", ["--brief"])[0]?.slice(-2)).toEqual(["packages/torture/src/run.ts", "--brief"]);
  expect(() => commandsOf("tool", ["soke"])).toThrow(
    "No such name: soke. There are: newcomer, attacks, soak, matrix, conformance, keyv-suites, strings.",
  );
});

it("pages are written one after another, and a wrong name writes none", () => {
  expect(commandsOf("write", ["readme", "pictures"]).map((command) => command.at(-1))).toEqual([
    ".ci/npm-readme.ts",
    "docs/pictures/write.ts",
  ]);
  expect(() => commandsOf("write", ["readme", "picture"])).toThrow("No such name: picture.");
  expect(() => commandsOf("write", [])).toThrow("No such name: (none).");
});

it("package.json has at most 15 scripts, and none has a space in its name", () => {
  const names = Object.keys(scripts);
  expect(names.filter((name) => name.includes(" "))).toEqual([]);
  expect(names.length).toBeLessThanOrEqual(15);
});

it("a quick run writes no report that promises reads, and does not begin with it", () => {
  const options = { cwd: top, encoding: "utf8", timeout: 5_000 } as const;
  const { status, stdout, stderr } = spawnSync("node", [".ci/test.ts", "quick", "promises"], options);
  expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  expect(stderr).toBe("promises needs the report of all tests, which quick does not run.\n");
});
