// Literals check: no call passes `true` or `false` by position.
//
//   node .ci/checks/literals.ts
//
// `read(key, true)` does not say what is true; a union of words or an options object does. The only argument of a call
// may be a literal.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Visitor, parseSync, type CallExpression, type NewExpression } from "oxc-parser";
import { trackedFiles } from "./tracked-files.ts";

/** Functions of Node.js that have such a parameter, by their last name. */
export const EXCEPTIONS: RegExp = /^[gs]et(?:Uint|Int|BigUint|BigInt|Float)\d+$/; // DataView: littleEndian

const SOURCES = /^(?:packages\/[^/]+\/src|benchmarks|\.ci|docs\/examples)\/.*\.(?:ts|mjs)$/;
const TESTS = /\.test(?:-d)?\.ts$|\/testing\/src\/describe-/;

export interface BooleanArgument {
  readonly line: number;
  /** The called function, as it is written. */
  readonly callee: string;
  readonly literal: boolean;
}

export function findBooleanArguments(path: string, text: string): readonly BooleanArgument[] {
  const { program, errors } = parseSync(path, text);
  if (errors.length > 0) throw new Error(`${path} cannot be parsed: ${errors[0]?.message}`);

  const found: BooleanArgument[] = [];
  const isOfNode = (called: string): boolean => EXCEPTIONS.test(called.replace(/^.*\./s, ""));
  const look = ({ callee, arguments: given }: CallExpression | NewExpression): void => {
    const called = text.slice(callee.start, callee.end);
    if (given.length < 2 || isOfNode(called)) return;
    for (const argument of given) {
      if (argument.type !== "Literal" || typeof argument.value !== "boolean") continue;
      found.push({ line: text.slice(0, argument.start).split("\n").length, callee: called, literal: argument.value });
    }
  };
  new Visitor({ CallExpression: look, NewExpression: look }).visit(program);
  return found.toSorted((a, b) => a.line - b.line);
}

function main(): void {
  const top = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
  const files = trackedFiles(top).filter((path) => SOURCES.test(path) && !TESTS.test(path));
  const found = files.flatMap((file) =>
    findBooleanArguments(file, readFileSync(join(top, file), "utf8")).map(
      ({ line, callee, literal }) => `${file}:${line}: ${callee} is given ${literal} by position`,
    ),
  );
  console.log(found.length === 0 ? `${files.length} files pass no boolean literal by position` : found.join("\n"));
  process.exitCode = found.length === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
