import ts from "typescript-5";
import { commentOf, inOneLine, type Comment } from "./comments.ts";

/** A property of an interface or a class. */
export interface Property {
  /** With `?` where it may be left out. */
  readonly name: string;
  readonly type: string;
  readonly comment: Comment;
}

/** A method, with all of its overloads. */
export interface Method {
  readonly name: string;
  readonly signatures: readonly string[];
  readonly comment: Comment;
}

export interface Members {
  readonly properties: readonly Property[];
  readonly methods: readonly Method[];
}

/** The public members of the interfaces and classes among these declarations, without inherited ones. */
export function membersOf(declarations: readonly ts.Declaration[]): Members {
  const members = declarations
    .filter((each) => ts.isInterfaceDeclaration(each) || ts.isClassDeclaration(each))
    .flatMap((each): readonly ts.Node[] => [...each.members])
    .filter(isPublic);
  const methods = new Map<string, ts.Node[]>();
  for (const member of members)
    if (!isProperty(member)) methods.set(nameOf(member), [...(methods.get(nameOf(member)) ?? []), member]);
  return {
    properties: members.filter(isProperty).map(propertyOf),
    methods: Array.from(methods, ([name, overloads]) => ({
      name,
      signatures: overloadsOf(overloads).map(signatureOf),
      comment: commentOfAll(overloads),
    })),
  };
}

/** Overloads may have comments of their own: one after another, the one with errors first. */
export function commentOfAll(declarations: readonly ts.Node[]): Comment {
  const comments = declarations.map(commentOf).toSorted((a, b) => b.throws.length - a.throws.length);
  const texts = new Set(comments.map(({ text }) => text).filter((text) => text !== ""));
  const returns = comments.map((comment) => comment.returns).find((each) => each !== undefined);
  return { ...(comments.find(({ text }) => text !== "") ?? comments[0]!), returns, text: [...texts].join("\n\n") };
}

/** An implementation that stands below its overloads is none itself. */
export const overloadsOf = <T extends ts.Node>(declarations: readonly T[]): readonly T[] =>
  declarations.length > 1
    ? declarations.filter((each) => (each as { body?: ts.Node }).body === undefined)
    : declarations;

/** The text of a declaration without comment, modifiers and body. */
export function signatureOf(node: ts.Node): string {
  const source = node.getSourceFile();
  const body = (node as { body?: ts.Node }).body ?? (ts.isClassDeclaration(node) ? undefined : initializerOf(node));
  const end = body === undefined ? node.getEnd() : body.getStart(source);
  const text = source.text
    .slice(node.getStart(source), end)
    .replace(/^(?:(?:export|declare|override|async|public) )+/, "")
    .replace(/[\s={;]+$/, "");
  const isConstant = ts.isVariableDeclaration(node);
  return `${isConstant ? "const " : ""}${dedented(text, indentOf(source, isConstant ? node.parent : node))}`;
}

/** `const x: T` keeps its type alone. */
const initializerOf = (node: ts.Node): ts.Node | undefined =>
  ts.isVariableDeclaration(node) ? node.initializer : undefined;

function indentOf(source: ts.SourceFile, node: ts.Node): number {
  return source.getLineAndCharacterOfPosition(node.getStart(source)).character;
}

const dedented = (text: string, by: number): string => text.replaceAll(new RegExp(`\\n {0,${by}}`, "g"), "\n");

function propertyOf(node: ts.PropertySignature | ts.PropertyDeclaration | ts.GetAccessorDeclaration): Property {
  const isOptional = !ts.isGetAccessor(node) && node.questionToken !== undefined;
  const initializer = ts.isPropertyDeclaration(node) ? node.initializer?.getText() : undefined;
  return {
    name: `${node.name.getText()}${isOptional ? "?" : ""}`,
    type: inOneLine(node.type?.getText() ?? initializer ?? "unknown").replace(/^\| /, ""),
    comment: commentOf(node),
  };
}

export const isProperty = (
  node: ts.Node,
): node is ts.PropertySignature | ts.PropertyDeclaration | ts.GetAccessorDeclaration =>
  ts.isPropertySignature(node) || ts.isPropertyDeclaration(node) || ts.isGetAccessor(node);

/** The `name` of an error is that of its class. */
export function isPublic(node: ts.Node): boolean {
  if (ts.isClassStaticBlockDeclaration(node)) return false;
  const name = (node as Partial<ts.NamedDeclaration>).name;
  if (name !== undefined && ts.isPrivateIdentifier(name)) return false;
  const modifiers = ts.canHaveModifiers(node) ? (ts.getModifiers(node) ?? []) : [];
  const has = (kind: ts.SyntaxKind): boolean => modifiers.some((modifier) => modifier.kind === kind);
  if (has(ts.SyntaxKind.PrivateKeyword) || has(ts.SyntaxKind.ProtectedKeyword)) return false;
  return !(has(ts.SyntaxKind.OverrideKeyword) && name?.getText() === "name");
}

export function nameOf(node: ts.Node): string {
  if (ts.isConstructorDeclaration(node) || ts.isConstructSignatureDeclaration(node)) return "constructor";
  if (ts.isCallSignatureDeclaration(node)) return "call";
  if (ts.isIndexSignatureDeclaration(node)) return "index";
  return (node as ts.NamedDeclaration).name!.getText();
}
