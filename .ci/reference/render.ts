// The pages of the reference, as Markdown.

import ts from "typescript-5";
import { arrange } from "./arrange.ts";
import { commentOf, inOneLine, summaryOf, type Comment } from "./comments.ts";
import { commentOfAll, membersOf, overloadsOf, signatureOf, type Method, type Property } from "./members.ts";
import type { Model, PublicName } from "./model.ts";
import type { PageSpec } from "./page-spec.ts";
import { anchorOf, Places } from "./places.ts";
import { SHOWN_IN } from "./shown-in.ts";

/** Interfaces of which each property is described like a name: those of events. */
const OPENED = new Set(["CacheEvents"]);

/** The text of each page, by its file in docs/reference/api. */
export function renderPages(model: Model): ReadonlyMap<string, string> {
  const reference = new Reference(model);
  const pages = reference.pages.map((page) => [`${page.file}.md`, reference.page(page)] as const);
  return new Map([["README.md", reference.index()], ...pages]);
}

class Reference {
  readonly pages: readonly PageSpec[];
  readonly #checker: ts.TypeChecker;
  readonly #names: ReadonlyMap<string, PublicName>;
  readonly #places: Places;
  /** The page that is being written, and the name on it. */
  #file = "";
  #owner = "";

  constructor({ checker, names }: Model) {
    this.#checker = checker;
    const isTwice = (name: string): boolean => names.filter((each) => each.name === name).length > 1;
    this.#names = new Map(
      names.map((each) => {
        const [first = ""] = each.specifiers;
        return [isTwice(each.name) && first !== "hotset" ? `${each.name}@${first}` : each.name, each];
      }),
    );
    this.pages = arrange(new Map(Array.from(this.#names, ([name, { specifiers }]) => [name, specifiers[0] ?? ""])));
    this.#places = new Places(this.pages, this.#names);
  }

  index(): string {
    this.#file = "README.md";
    const rows = this.pages.map(({ file, title, names }) => {
      const shown = names.filter((name) => !name.includes("@")).map((name) => this.#link(name));
      return `| [${title}](${file}.md) | ${shown.join(", ")} |`;
    });
    return joined([
      "# API reference",
      GENERATED,
      "Every public name of `hotset` and the packages that it is made of: signature, meaning, defaults, errors. " +
        "Names without a remark are exported by `hotset`.",
      ["| page | names |", "|---|---|", ...rows].join("\n"),
      "Units, bounds and everything that is not a type: [options](../options.md), [events](../events.md), " +
        "[statistics](../stats.md), [errors](../errors.md), [keys and fields in Redis](../redis-layout.md).",
      "From a shell: [the commands and their options](command-line.md).",
    ]);
  }

  page(spec: PageSpec): string {
    this.#file = `${spec.file}.md`;
    const rows = spec.names.map((name) => {
      const title = this.#places.titleOf(name);
      return (
        `| [${title}](#${anchorOf(title)}) | ${this.#cell(summaryOf(this.#commentOf(this.#names.get(name)!)))} ` + "|"
      );
    });
    const sections = spec.names.flatMap((name) => this.#section(name, this.#names.get(name)!));
    const text = joined([
      `# ${spec.title}`,
      GENERATED,
      spec.intro,
      ["| name | meaning |", "|---|---|", ...rows].join("\n"),
      ...sections,
    ]);
    checkAnchors(this.#file, text);
    return text;
  }

  #section(place: string, each: PublicName): readonly string[] {
    const { declarations, name } = each;
    this.#owner = place;
    const comment = this.#commentOf(each);
    const { properties, methods } = membersOf(declarations);
    const [first] = each.specifiers;
    const from = first === "hotset" ? "" : `From \`${first}\`.`;
    const shown = declarations.filter((node) => !ts.isInterfaceDeclaration(node) && !ts.isClassDeclaration(node));
    const signatures = overloadsOf(shown).map(signatureOf);
    return [
      `## ${this.#places.titleOf(place)}`,
      signatures.length === 0 ? "" : block(signatures),
      this.#describe(comment),
      from,
      this.#params(comment),
      this.#heritage(declarations),
      this.#remarks(comment, name, signatures),
      OPENED.has(name) ? "" : this.#table(properties),
      ...(OPENED.has(name) ? this.#opened(declarations) : []),
      ...methods.flatMap((method) => this.#method(place, method)),
    ];
  }

  #method(owner: string, method: Method): readonly string[] {
    const place = `${owner}.${method.name}`;
    return [
      `### ${this.#places.titleOf(place)}`,
      block(method.signatures),
      this.#describe(method.comment),
      this.#params(method.comment),
      this.#remarks(method.comment, place, method.signatures),
    ];
  }

  /** Each property of an interface with the properties of its type. */
  #opened(declarations: readonly ts.Declaration[]): readonly string[] {
    return declarations.filter(ts.isInterfaceDeclaration).flatMap(({ members }) =>
      members.filter(ts.isPropertySignature).flatMap((member) => {
        const fields = this.#checker.getPropertiesOfType(this.#checker.getTypeAtLocation(member)).flatMap((field) => {
          const [declaration] = field.declarations ?? [];
          return declaration !== undefined && ts.isPropertySignature(declaration) ? [fieldOf(declaration)] : [];
        });
        const name = member.name.getText().replaceAll('"', "");
        return [`### \`${name}\``, this.#describe(commentOf(member)), this.#table(fields)];
      }),
    );
  }

  #heritage(declarations: readonly ts.Declaration[]): string {
    const bases = declarations
      .filter((each) => ts.isInterfaceDeclaration(each) || ts.isClassDeclaration(each))
      .flatMap(({ heritageClauses = [] }) => heritageClauses.flatMap(({ types }) => [...types]))
      .map((type) => this.#type(inOneLine(type.getText())));
    return bases.length === 0 ? "" : `Has everything of ${bases.join(", ")}.`;
  }

  #params({ params }: Comment): string {
    const rows = Array.from(params, ([name, text]) => `| \`${name}\` | ${this.#cell(text)} |`);
    return rows.length === 0 ? "" : ["| parameter | meaning |", "|---|---|", ...rows].join("\n");
  }

  /** @param place the name, or the interface and its method. */
  #remarks(comment: Comment, place: string, signatures: readonly string[]): string {
    const shown = SHOWN_IN[place];
    const fails = signatures.some((each) => each.includes("): Promise<")) ? "Rejects with" : "Throws";
    const types = this.#typesIn(signatures.join("\n"), place.split(".")[0]!);
    return [
      ...(types.length === 0 ? [] : [`- Types: ${types.join(", ")}`]),
      ...(comment.default === undefined ? [] : [`- Default: ${this.#links(inOneLine(comment.default))}`]),
      ...(comment.returns === undefined ? [] : [`- Returns ${this.#links(inOneLine(comment.returns))}`]),
      ...comment.throws.map((text) => `- ${fails} ${this.#links(inOneLine(text))}`),
      ...comment.see.map((text) => `- See ${this.#links(inOneLine(text))}`),
      ...(shown === undefined
        ? []
        : [
            `- In use: [${shown.replace(/^(?:guide|reference)\//, "").replace(/\.md(?:#.*)?$/, "")}](${inDocs(shown)})`,
          ]),
    ].join("\n");
  }

  #table(properties: readonly Property[]): string {
    if (properties.length === 0) return "";
    const hasDefaults = properties.some(({ comment }) => comment.default !== undefined);
    const rows = properties.map(({ name, type, comment }) => {
      const meaning = [
        this.#cell(comment.text),
        ...comment.throws.map((text) => `Throws ${this.#cell(text)}`),
        ...comment.see.map((text) => `See ${this.#cell(text)}`),
      ].filter((part) => part !== "");
      const given = hasDefaults ? ` ${this.#cell(comment.default ?? "")} |` : "";
      return `| \`${name}\` | ${cell(this.#type(type))} |${given} ${meaning.join(" ")} |`;
    });
    return hasDefaults
      ? ["| name | type | default | meaning |", "|---|---|---|---|", ...rows].join("\n")
      : ["| name | type | meaning |", "|---|---|---|", ...rows].join("\n");
  }

  #commentOf({ declarations }: PublicName): Comment {
    return commentOfAll(declarations.map(commentNode));
  }

  #describe({ text }: Comment): string {
    return this.#links(text);
  }

  #cell(text: string): string {
    return cell(this.#links(inOneLine(text)));
  }

  /** Links to the public names in a signature. */
  #typesIn(signature: string, own: string): readonly string[] {
    const names = new Set(signature.match(/\b[A-Z]\w+/g));
    names.delete(own);
    return [...names].filter((name) => this.#placeOf(name) !== undefined).map((name) => this.#link(name));
  }

  /** A type in code, linked to the first public name in it. */
  #type(type: string): string {
    const names = type.match(/[A-Z]\w+/g) ?? [];
    const link = names.map((name) => this.#placeOf(name)).find((each) => each !== undefined);
    return link === undefined ? `\`${type}\`` : `[\`${type}\`](${link})`;
  }

  /** `{@link X}` and `{@link X.y}` become links where there is a place to lead to, else code. */
  #links(text: string): string {
    return text.replaceAll(/\{@link ([\w.]+)\}/g, (_, target: string) => this.#link(target));
  }

  #link(name: string): string {
    const link = this.#placeOf(name, this.#owner);
    return link === undefined ? `\`${name}\`` : `[\`${name}\`](${link})`;
  }

  #placeOf(name: string, owner = ""): string | undefined {
    return this.#places.from(this.#file, name, owner, this.#names.get(this.#owner)?.specifiers[0]);
  }
}

/** Parts of a page, without empty ones. */
const joined = (parts: readonly string[]): string => `${parts.filter((part) => part !== "").join("\n\n")}\n`;

const GENERATED = "<!-- Written from the comments of the types by the build of the site: change those. -->";

/** The comment of a constant stands before the whole statement. */
const commentNode = (node: ts.Declaration): ts.Node => (ts.isVariableDeclaration(node) ? node.parent.parent : node);

const fieldOf = (node: ts.PropertySignature): Property => ({
  name: `${node.name.getText()}${node.questionToken === undefined ? "" : "?"}`,
  type: inOneLine(node.type?.getText() ?? "unknown").replace(/^\| /, ""),
  comment: commentOf(node),
});

const block = (signatures: readonly string[]): string => ["```ts", ...signatures, "```"].join("\n");
const cell = (text: string): string => text.replaceAll("|", "\\|");
const inDocs = (path: string): string =>
  path.startsWith("reference/") ? `../${path.slice("reference/".length)}` : `../../${path}`;

/** GitHub would number equal anchors. */
function checkAnchors(file: string, text: string): void {
  const anchors = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading]) => anchorOf(heading!));
  const twice = anchors.filter((anchor, i) => anchors.indexOf(anchor) !== i);
  if (twice.length > 0) throw new Error(`${file}: more than one heading has the anchor ${twice.join(", ")}`);
}
