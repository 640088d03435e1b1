import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, it } from "vitest";
import { recorded, tableOf } from "../newcomer/ran.ts";
import { FILES, npmReadme, SOURCE, TARGET } from "../npm-readme.ts";

it.each([
  [
    "[a](docs/a.md#b) and ![c](d.svg)",
    "[a](https://github.com/hotset/hotset/blob/main/docs/a.md#b) and ![c](https://raw.githubusercontent.com/hotset/hotset/main/d.svg)",
  ],
  ["[a](https://a.example) [b](#b)", "[a](https://a.example) [b](#b)"],
  ['<source srcset="a.svg"><img src="b.svg">', `<source srcset="${FILES}a.svg"><img src="${FILES}b.svg">`],
  ["<!-- figures: front -->\n\n| a |\n\n<!-- end of figures -->\n\nb\n", "| a |\n\nb\n"],
])("%s", (text, expected) => {
  expect(npmReadme(text)).toBe(expected);
});

it("the package gets its README when it is packed", () => {
  const { scripts } = JSON.parse(readFileSync(join(dirname(TARGET), "package.json"), "utf8")) as Manifest;
  expect(scripts["prepack"]).toBe("node ../../.ci/npm-readme.ts");
  expect(npmReadme(readFileSync(SOURCE, "utf8"))).not.toMatch(/\]\((?![a-z]+:|#)/);
});

it("the table of runtimes is that of its record", () => {
  const { ran, table } = recorded();
  expect(table).toBe(tableOf(ran));
});

interface Manifest {
  readonly scripts: Readonly<Record<string, string>>;
}
