import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { npmReadme, SOURCE, TARGET } from "../npm-readme.ts";

it.each([
  [
    "[a](docs/a.md#b) and ![c](d.svg)",
    "[a](https://github.com/hotset/hotset/blob/main/docs/a.md#b) and ![c](https://raw.githubusercontent.com/hotset/hotset/main/d.svg)",
  ],
  ["[a](https://a.example) [b](#b)", "[a](https://a.example) [b](#b)"],
  ["<!-- figures: front -->\n\n| a |\n\n<!-- end of figures -->\n\nb\n", "| a |\n\nb\n"],
])("%s", (text, expected) => {
  expect(npmReadme(text)).toBe(expected);
});

it("the README of the package is that of the repository (npm run write -- readme writes it)", () => {
  expect(readFileSync(TARGET, "utf8")).toBe(npmReadme(readFileSync(SOURCE, "utf8")));
});
