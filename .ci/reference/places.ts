import { membersOf } from "./members.ts";
import type { PublicName } from "./model.ts";
import type { PageSpec } from "./page-spec.ts";

/** Where each public name, and each method of one, is described: its heading, its page and its anchor. */
export class Places {
  readonly #titles = new Map<string, string>();
  readonly #places = new Map<string, string>();
  /** Names with their specifiers, by the name that they share. */
  readonly #equal = new Map<string, string[]>();

  constructor(pages: readonly PageSpec[], names: ReadonlyMap<string, PublicName>) {
    for (const page of pages) this.#add(page, names);
  }

  /** The heading of a name of a page, or of a method: `Cache.close`. */
  titleOf(name: string): string {
    return this.#titles.get(name)!;
  }

  /**
   * A link from `file` to a name as the compiler has it, or to a method, of `owner` where it is not qualified;
   * `undefined` if it is not public. Of two names that are equal it is the one of the package of `specifier`.
   */
  from(file: string, name: string, owner: string = "", specifier: string = ""): string | undefined {
    const [first = ""] = name.split(".");
    const near = this.#equal
      .get(first)
      ?.find((each) => packageOf(each.slice(first.length + 1)) === packageOf(specifier));
    const places = [`${owner}.${name}`, `${first}@${specifier}`, near ?? "", name, first];
    const place = places.map((each) => this.#places.get(each)).find(isThere);
    return place?.startsWith(`${file}#`) === true ? place.slice(file.length) : place;
  }

  #add({ file, names: own }: PageSpec, names: ReadonlyMap<string, PublicName>): void {
    const methods = own.flatMap((name) =>
      membersOf(names.get(name)!.declarations).methods.map((method) => ({ owner: name, method: method.name })),
    );
    const add = (name: string, title: string): void => {
      this.#titles.set(name, title);
      this.#places.set(name, `${file}.md#${anchorOf(title)}`);
    };
    for (const name of own) add(name, titleOf(name, own));
    for (const name of own.filter((each) => each.includes("@"))) {
      const [shared = ""] = name.split("@");
      this.#equal.set(shared, [...(this.#equal.get(shared) ?? []), name]);
    }
    for (const { owner, method } of methods) {
      const isAlone =
        method !== "constructor" &&
        methods.filter((each) => each.method === method).length === 1 &&
        !own.some((name) => name.toLowerCase() === method.toLowerCase());
      const shown = owner.split("@")[0]!;
      // `Stream.info` next to `StreamInfo`.
      const isTaken = own.some((name) => name.toLowerCase() === `${shown}${method}`.toLowerCase());
      const title = isTaken ? `\`${method}\` of \`${shown}\`` : `\`${shown}.${method}\``;
      add(`${owner}.${method}`, isAlone ? `\`${method}\`` : title);
    }
  }
}

/** `@hotset/redis-toolkit` of `@hotset/redis-toolkit/queue`. */
const packageOf = (specifier: string): string => specifier.split("/", 2).join("/");

const isThere = (place: string | undefined): boolean => place !== undefined;

/** @param others the names of its page: GitHub makes one anchor of `gate` and `Gate`. */
function titleOf(name: string, others: readonly string[]): string {
  const [own = "", specifier] = [name.split("@")[0], name.slice(name.indexOf("@") + 1)];
  if (name.includes("@")) return `\`${own}\` of \`${specifier}\``;
  const first = others.find((each) => each.toLowerCase() === name.toLowerCase());
  return first === name ? `\`${name}\`` : `The type \`${name}\``;
}

/** As GitHub makes it. */
export const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\- _]/gu, "")
    .replaceAll(" ", "-");
