// Counts what the docstrings of public names leave out.
//
//   node .ci/checks/docstrings.ts [package]
//
// An item is a name that a published package exports, or a member of it; a function is one that can be called. Counted
// are items without a word, and functions whose docstring does not name the errors that a caller can get: by `@throws`,
// or by saying that there are none. Errors that all methods of an interface have in common stand at the interface.
// A member that overrides one of a base class has its docstring. Members of what is used of another library are
// described there.

import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript-5";
import { commentOf } from "../reference/comments.ts";
import { isPublic, isProperty, nameOf, overloadsOf } from "../reference/members.ts";
import { readModel } from "../reference/model.ts";

export interface Item {
  readonly package: string;
  readonly name: string;
  readonly place: string;
  readonly isFunction: boolean;
  readonly hasText: boolean;
  readonly namesErrors: boolean;
}

const top = fileURLToPath(new URL("../../", import.meta.url));
/** A docstring of a function that names them, or says that there are none. */
const SAYS_SO = /\b(?:throw|throws|reject|rejects|fails)\b/i;
/** An interface that another library implements, or reads. */
const OF_OTHERS = /\bparts? of\b[^.]*\bused\b|\bas far as\b[^.]*\bneeds? it\b/i;
const SAYS_FOR_ALL = /\b(?:calls?|methods?|functions?)\b[^.]*\b(?:throw|reject)/i;

/** Each public item of the published packages, once. */
export function publicItems(): readonly Item[] {
  const items = new Map<string, Item>();
  for (const { name, declarations } of readModel([]).names) {
    const own = declarations.filter((each) => each.getSourceFile().fileName.includes("/packages/"));
    const whole = add(items, name, own);
    if (OF_OTHERS.test(whole)) continue;
    const members = own
      .filter((each) => ts.isInterfaceDeclaration(each) || ts.isClassDeclaration(each))
      .flatMap((each): readonly ts.Node[] => [...each.members])
      .filter((each) => isPublic(each) && isNamed(each));
    for (const group of Map.groupBy(members, nameOf).values())
      add(items, `${name}.${nameOf(group[0]!)}`, group, SAYS_FOR_ALL.test(whole) || whole.includes(THROWS));
  }
  return [...items.values()];
}

const THROWS = "@throws ";

/** A constructor is described by its class, what is inherited or well-known where it comes from. */
function isNamed(node: ts.Node): boolean {
  if (ts.isCallSignatureDeclaration(node)) return true;
  const { name } = node as Partial<ts.NamedDeclaration>;
  const modifiers = ts.canHaveModifiers(node) ? (ts.getModifiers(node) ?? []) : [];
  return (
    name !== undefined &&
    !ts.isComputedPropertyName(name) &&
    !modifiers.some(({ kind }) => kind === ts.SyntaxKind.OverrideKeyword)
  );
}

/** @returns the docstring. */
function add(items: Map<string, Item>, name: string, declarations: readonly ts.Node[], isCovered = false): string {
  const [first] = declarations;
  if (first === undefined) return "";
  const file = relative(top, first.getSourceFile().fileName);
  const { line } = first.getSourceFile().getLineAndCharacterOfPosition(first.getStart());
  const comments = overloadsOf(declarations).map(commentOf);
  const text = comments
    .map((comment) =>
      [comment.text, comment.default, ...comment.throws.map((each) => THROWS + each), ...comment.params.values()].join(
        " ",
      ),
    )
    .join(" ")
    .trim();
  items.set(`${file}:${name}`, {
    package: file.split("/")[1]!,
    name,
    place: `${file}:${line + 1}`,
    isFunction: isCallable(first),
    hasText: text !== "",
    namesErrors: isCovered || text.includes(THROWS) || SAYS_SO.test(text),
  });
  return text;
}

function isCallable(node: ts.Node): boolean {
  if (isProperty(node)) return false;
  if (ts.isVariableDeclaration(node))
    return (
      node.initializer !== undefined &&
      (ts.isArrowFunction(node.initializer) || ts.isFunctionExpression(node.initializer))
    );
  return (
    ts.isFunctionDeclaration(node) ||
    ts.isMethodSignature(node) ||
    ts.isMethodDeclaration(node) ||
    ts.isCallSignatureDeclaration(node)
  );
}

export interface Count {
  readonly items: number;
  readonly silent: readonly Item[];
  readonly functions: number;
  readonly errorless: readonly Item[];
}

export function count(items: readonly Item[]): Count {
  const functions = items.filter(({ isFunction }) => isFunction);
  return {
    items: items.length,
    silent: items.filter(({ hasText }) => !hasText),
    functions: functions.length,
    errorless: functions.filter(({ namesErrors }) => !namesErrors),
  };
}

function main(only: string | undefined): void {
  const all = publicItems().filter((item) => only === undefined || item.package === only);
  const { items, silent, functions, errorless } = count(all);
  for (const { place, name } of silent) console.log(`${place}: ${name} has no text`);
  for (const { place, name } of errorless) console.log(`${place}: ${name} does not name its errors`);
  const share = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(1)} %`;
  console.log(`${silent.length} of ${items} public items have no text: ${share(silent.length, items)}`);
  console.log(
    `${functions - errorless.length} of ${functions} functions name their errors: ` +
      share(functions - errorless.length, functions),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv[2]);
