import ts from "typescript-5";

/** The comment of one declaration, in parts. */
export interface Comment {
  readonly text: string;
  readonly default: string | undefined;
  /** By name, only those that are described. */
  readonly params: ReadonlyMap<string, string>;
  readonly returns: string | undefined;
  readonly throws: readonly string[];
  readonly see: readonly string[];
}

/** The last comment before a declaration; empty where there is none. */
export function commentOf(node: ts.Node): Comment {
  const doc = ts.getJSDocCommentsAndTags(node).findLast((each) => ts.isJSDoc(each));
  const tags: readonly ts.JSDocTag[] = doc?.tags ?? [];
  const texts = (name: string): readonly string[] =>
    tags.filter(({ tagName }) => tagName.text === name).map((tag) => textOf(tag.comment));
  return {
    text: doc === undefined ? "" : textWithCode(doc),
    default: texts("default").map(valueOf)[0],
    params: new Map(
      tags.filter(ts.isJSDocParameterTag).map((tag) => [tag.name.getText(), textOf(tag.comment)] as const),
    ),
    returns: texts("returns").find((text) => text !== ""),
    throws: tags.filter(ts.isJSDocThrowsTag).map((tag) => {
      const type = tag.typeExpression?.type.getText();
      return `${type === undefined ? "" : `{@link ${type}} `}${textOf(tag.comment)}`.trim();
    }),
    see: tags.filter(ts.isJSDocSeeTag).map((tag) => linkedIn(tag.getText().replace(/^@see/, ""))),
  };
}

/** Text of a comment in one line. Read from the source: the compiler takes the scheme of an address for a name. */
const linkedIn = (source: string): string =>
  inOneLine(source.replaceAll(/\n\s*\*/g, " ")).replaceAll(/https?:\S+/g, "<$&>");

const textOf = (comment: string | ts.NodeArray<ts.JSDocComment> | undefined): string =>
  (ts.getTextOfJSDocComment(comment) ?? "").trim();

/** A decorator in an example is a tag for the compiler, which ends the text there: the rest is read from the source. */
function textWithCode(doc: ts.JSDoc): string {
  const text = textOf(doc.comment);
  const fences = text.split(FENCE).length - 1;
  if (fences % 2 === 0) return text;
  const source = doc.getText().replaceAll(/^\s*\* ?|\s*\*\/$/gm, "");
  const places = Array.from(source.matchAll(new RegExp(FENCE, "g")), ({ index }) => index);
  const [begin = source.length, end = source.length] = places.slice(fences - 1);
  const [after = ""] = source.slice(end).split(/\n@/);
  return `${text.slice(0, text.lastIndexOf(FENCE))}${source.slice(begin, end)}${after}`.trim();
}

const FENCE = "```";

/** A default that is a value, and no sentence, is code. */
const valueOf = (text: string): string =>
  /^(?:['"\d]\S*|true|false|Infinity|\{.*\})$/.test(text) ? `\`${text.replaceAll("'", '"')}\`` : text;

/** What it is, in one line: its first sentence, else what it returns, else when it throws. */
export function summaryOf({ text, returns, throws }: Comment): string {
  if (text !== "") return sentenceOf(text);
  return returns === undefined
    ? throws.map((each) => `Throws ${inOneLine(each)}`).join(" ")
    : `Returns ${inOneLine(returns)}`;
}

function sentenceOf(text: string): string {
  const [paragraph = ""] = text.split(/\n\s*\n/);
  return /^.*?\.(?=\s|$)/s.exec(inOneLine(paragraph))?.[0] ?? inOneLine(paragraph);
}

export const inOneLine = (text: string): string => text.replaceAll(/\s+/g, " ").trim();
