// Draws the pictures: each `.svg` beside this file from the `.ts` of its name.
//
//   npm run write -- pictures

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { breaker } from "./breaker.ts";
import { svgOf, type Picture } from "./draw.ts";
import { ladder } from "./ladder.ts";
import { life } from "./life.ts";
import { protocol } from "./protocol.ts";
import { terminalOf } from "./terminal.ts";
import { tiers } from "./tiers.ts";

export const PICTURES: Readonly<Record<string, Picture>> = { tiers, ladder, protocol, life, breaker };

/** The recorded output of the demo. To record it again: `npm run demo | grep -v "changes seen by all$" > demo.txt`. */
const recorded = (): string => readFileSync(join(import.meta.dirname, "demo.txt"), "utf8");
export const drawDemo = (): string => terminalOf("demo", "npm run demo", recorded());
/** Its faults and checks, without figures: for a phone. */
export const drawNarrowDemo = (): string => {
  const lines = recorded()
    .split("\n")
    .filter((line) => /^ +[\d.]+ s {2}(?:killed|froze) |^ {2}pass |checks passed$/.test(line))
    .map((line) => line.replace(/ \(.*$|(?<=^ {2}pass {2}.*\S) {2,}.*$/, ""));
  return terminalOf("demo-narrow", "npm run demo", lines.join("\n"));
};

if (import.meta.main) {
  for (const [name, picture] of Object.entries(PICTURES))
    writeFileSync(join(import.meta.dirname, `${name}.svg`), svgOf(name, picture));
  writeFileSync(join(import.meta.dirname, "demo.svg"), drawDemo());
  writeFileSync(join(import.meta.dirname, "demo-narrow.svg"), drawNarrowDemo());
}
