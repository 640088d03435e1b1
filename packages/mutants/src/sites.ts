import ts from "typescript-5";
import type { BrokenRule } from "./mutant.ts";

/** One place of a source where a small change makes other code that still compiles as far as names go. */
export interface Site {
  readonly kind: string;
  /** The first line, from 1. */
  readonly line: number;
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

type Change = Pick<Site, "kind" | "text"> & { readonly node: ts.Node };

const SWAPS: ReadonlyMap<ts.SyntaxKind, string> = new Map([
  [ts.SyntaxKind.LessThanToken, "<="],
  [ts.SyntaxKind.LessThanEqualsToken, "<"],
  [ts.SyntaxKind.GreaterThanToken, ">="],
  [ts.SyntaxKind.GreaterThanEqualsToken, ">"],
  [ts.SyntaxKind.PlusToken, "-"],
  [ts.SyntaxKind.MinusToken, "+"],
  [ts.SyntaxKind.AmpersandAmpersandToken, "||"],
  [ts.SyntaxKind.BarBarToken, "&&"],
]);
const IS_BOUND = /^[A-Z][A-Z0-9_]+$/;

/** Every site of a source, in the order of the text. */
export function sitesOf(file: string, text: string): readonly Site[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest);
  const sites: Site[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isTypeNode(node) || ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) return;
    for (const change of changesOf(node, source)) {
      const start = change.node.getStart(source);
      const line = source.getLineAndCharacterOfPosition(start).line + 1;
      sites.push({ kind: change.kind, line, start, end: change.node.end, text: change.text });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return sites;
}

function changesOf(node: ts.Node, source: ts.SourceFile): readonly Change[] {
  if (ts.isIfStatement(node) || ts.isWhileStatement(node)) return [negated(node.expression, source)];
  if (ts.isConditionalExpression(node)) return [negated(node.condition, source)];
  if (ts.isBinaryExpression(node)) return swapped(node, source);
  if (ts.isExpressionStatement(node)) return dropped(node);
  if (ts.isAwaitExpression(node))
    return [{ kind: "await dropped", node, text: `(${textOf(node.expression, source)})` }];
  if (ts.isReturnStatement(node) && node.expression !== undefined && !isUndefined(node.expression))
    return [{ kind: "result dropped", node, text: "return undefined;" }];
  if (ts.isVariableDeclaration(node)) return unbounded(node, source);
  return returnedEarly(node, source);
}

const negated = (node: ts.Expression, source: ts.SourceFile): Change => ({
  kind: "condition negated",
  node,
  text: `!(${textOf(node, source)})`,
});

function swapped(node: ts.BinaryExpression, source: ts.SourceFile): readonly Change[] {
  const operator = SWAPS.get(node.operatorToken.kind);
  if (operator === undefined || [node.left, node.right].some(isText)) return [];
  const text = `((${textOf(node.left, source)}) ${operator} (${textOf(node.right, source)}))`;
  return [{ kind: `${textOf(node.operatorToken, source)} to ${operator}`, node, text }];
}

function dropped(node: ts.ExpressionStatement): readonly Change[] {
  const { expression } = node;
  if (ts.isBinaryExpression(expression)) return [{ kind: "assignment dropped", node, text: ";" }];
  if (ts.isPrefixUnaryExpression(expression) || ts.isPostfixUnaryExpression(expression))
    return [{ kind: "count dropped", node, text: ";" }];
  const call = ts.isAwaitExpression(expression) || ts.isVoidExpression(expression) ? expression.expression : expression;
  if (!ts.isCallExpression(call) || call.expression.kind === ts.SyntaxKind.SuperKeyword) return [];
  return [{ kind: "call dropped", node, text: ";" }];
}

function unbounded(node: ts.VariableDeclaration, source: ts.SourceFile): readonly Change[] {
  const { initializer, name } = node;
  if (initializer === undefined || !IS_BOUND.test(textOf(name, source)) || !ts.isNumericLiteral(initializer)) return [];
  return [{ kind: "bound removed", node: initializer, text: "Infinity" }];
}

/** Bodies of one statement are covered by the other kinds. */
function returnedEarly(node: ts.Node, source: ts.SourceFile): readonly Change[] {
  if (!ts.isFunctionLike(node) || ts.isConstructorDeclaration(node) || !("body" in node)) return [];
  const { body } = node;
  if (body === undefined || !ts.isBlock(body) || body.statements.length < 2) return [];
  const [first] = body.statements;
  return [{ kind: "returned early", node: first!, text: `return undefined;\n${textOf(first!, source)}` }];
}

const textOf = (node: ts.Node, source: ts.SourceFile): string => node.getText(source);
const isText = (node: ts.Node): boolean => ts.isStringLiteralLike(node) || ts.isTemplateExpression(node);
const isUndefined = (node: ts.Node): boolean => ts.isIdentifier(node) && node.text === "undefined";

/** A site as a rule that occurs once: whole lines, as many as that takes. */
export function ruleAt(
  file: string,
  text: string,
  site: Site,
): BrokenRule & { readonly before: string; readonly after: string } {
  let [from, to] = linesAround(text, site.start, site.end);
  const [before, after] = [text.slice(from, to), text.slice(from, site.start) + site.text + text.slice(site.end, to)];
  while (text.indexOf(text.slice(from, to)) !== text.lastIndexOf(text.slice(from, to)))
    [from, to] = linesAround(text, Math.max(0, from - 1), Math.min(text.length, to + 1));
  return {
    name: `${file}:${site.line} ${site.kind}`,
    file,
    rule: text.slice(from, to),
    broken: text.slice(from, site.start) + site.text + text.slice(site.end, to),
    before: oneLine(before),
    after: oneLine(after),
  };
}

function linesAround(text: string, start: number, end: number): [number, number] {
  const next = text.indexOf("\n", end);
  return [text.lastIndexOf("\n", start - 1) + 1, next === -1 ? text.length : next];
}

function oneLine(text: string): string {
  const line = text.replaceAll(/\s+/g, " ").trim();
  return line.length <= 160 ? line : `${line.slice(0, 80)} … ${line.slice(-70)}`;
}
