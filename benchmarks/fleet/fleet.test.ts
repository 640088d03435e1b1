import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ofWorkspace } from "@hotset/test-servers";
import { expect, it } from "vitest";
import { PLOT_PATH, plotOfFleet, readFleet } from "./results.ts";

const TOP = join(import.meta.dirname, "../..");

/** The output of the command. */
const hotset = (words: readonly string[]): string =>
  execFileSync(process.execPath, [...ofWorkspace(), join(TOP, "packages/cli/src/bin.ts"), ...words], {
    encoding: "utf8",
  });

it("hotset capacity has the costs of the committed results", () => {
  const words = ["capacity", "--processes", "1", "--keys", "1", "--reads", "1", "--json"];
  expect((JSON.parse(hotset(words)) as { readonly costs: object }).costs).toEqual(readFleet().costs);
});

it("the plot is that of the committed results", () => {
  expect(readFileSync(PLOT_PATH, "utf8")).toBe(plotOfFleet(readFleet()));
});

it("the page shows what its command prints", () => {
  const page = readFileSync(join(TOP, "docs/guide/at-scale.md"), "utf8");
  const [, command = "", printed] =
    /```sh example\nnpx hotset (capacity .*?)\n```\n\n```text\n(.*?)```/s.exec(page) ?? [];
  expect(hotset(command.replaceAll("\\\n", " ").split(/\s+/))).toBe(printed);
});
