/**
 * Structured fields (RFC 9651, section 4.2): dictionaries and lists, each of items or inner lists. Parameters are
 * checked and dropped. Text that does not parse gives `undefined`, so that a field counts as absent as a whole.
 */
export type Bare =
  | { readonly type: "integer" | "decimal" | "date"; readonly value: number }
  | { readonly type: "string" | "token" | "bytes" | "display"; readonly value: string }
  | { readonly type: "boolean"; readonly value: boolean };
export type Member = Bare | { readonly type: "inner-list"; readonly value: readonly Bare[] };

/** Later members replace earlier ones of the same key. Keys are read in any case of letters. */
export function parseDictionary(text: string): ReadonlyMap<string, Member> | undefined {
  const members = new Map<string, Member>();
  const reader = new Reader(text);
  const isRead = reader.each(() => {
    const key = reader.key();
    if (key === undefined) return false;
    const member: Member | undefined = reader.skips("=") ? reader.member() : TRUE;
    if (member === undefined || !reader.parameters()) return false;
    members.delete(key);
    members.set(key, member);
    return true;
  });
  return isRead ? members : undefined;
}

export function parseList(text: string): readonly Member[] | undefined {
  const members: Member[] = [];
  const reader = new Reader(text);
  const isRead = reader.each(() => {
    const member = reader.member();
    if (member === undefined || !reader.parameters()) return false;
    members.push(member);
    return true;
  });
  return isRead ? members : undefined;
}

/** The strings of a list that holds nothing else. */
export const parseStrings = (text: string | undefined): readonly string[] | undefined =>
  text === undefined ? undefined : stringsOf(parseList(text));

/** Their values, if all are strings. */
export function stringsOf(members: readonly Member[] | undefined): readonly string[] | undefined {
  const strings = members?.flatMap((member) => (member.type === "string" ? [member.value] : []));
  return strings?.length === members?.length ? strings : undefined;
}

const TRUE: Bare = { type: "boolean", value: true };

/** Reads from left to right. Sticky patterns have no nested repetition, so the work is linear. */
class Reader {
  #at = 0;
  readonly #text: string;

  constructor(text: string) {
    // A pattern for the spaces at the end would be tried at each space before them.
    let end = text.length;
    while (text[end - 1] === " ") end--;
    while (this.#at < end && text[this.#at] === " ") this.#at++;
    this.#text = text.slice(0, end);
  }

  /** Calls `read` for each member between commas. */
  each(read: () => boolean): boolean {
    if (this.#at === this.#text.length) return true;
    for (;;) {
      if (!read()) return false;
      this.#match(OWS);
      if (this.#at === this.#text.length) return true;
      if (!this.skips(",")) return false;
      this.#match(OWS);
      if (this.#at === this.#text.length) return false;
    }
  }

  skips(char: string): boolean {
    if (this.#text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  key(): string | undefined {
    return this.#match(KEY)?.toLowerCase();
  }

  member(): Member | undefined {
    if (!this.skips("(")) return this.#bare();
    const items: Bare[] = [];
    for (;;) {
      this.#match(SPACES);
      if (this.skips(")")) return { type: "inner-list", value: items };
      const item = this.#bare();
      if (item === undefined || !this.parameters()) return undefined;
      items.push(item);
      const next = this.#text[this.#at];
      if (next !== " " && next !== ")") return undefined;
    }
  }

  parameters(): boolean {
    while (this.skips(";")) {
      this.#match(SPACES);
      if (this.key() === undefined) return false;
      if (this.skips("=") && this.#bare() === undefined) return false;
    }
    return true;
  }

  #bare(): Bare | undefined {
    for (const [pattern, read] of BARE) {
      const text = this.#match(pattern);
      if (text !== undefined) return read(text);
    }
    return undefined;
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const text = pattern.exec(this.#text)?.[0];
    if (text !== undefined) this.#at += text.length;
    return text;
  }
}

const OWS = /[ \t]*/y;
const SPACES = / */y;
const KEY = /[a-z*][a-z0-9_\-.*]*/iy;
/** Bare items (section 4.2.3.1): no text begins two of them. */
const BARE: readonly (readonly [pattern: RegExp, read: (text: string) => Bare])[] = [
  [
    /"(?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"/y,
    (text) => ({ type: "string", value: text.slice(1, -1).replace(/\\(.)/g, "$1") }),
  ],
  [/\?[01]/y, (text) => ({ type: "boolean", value: text === "?1" })],
  [/-?\d{1,15}(?![\d.])/y, (text) => ({ type: "integer", value: Number(text) })],
  [/-?\d{1,12}\.\d{1,3}(?!\d)/y, (text) => ({ type: "decimal", value: Number(text) })],
  [/@-?\d{1,15}(?![\d.])/y, (text) => ({ type: "date", value: Number(text.slice(1)) })],
  [/[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*/y, (text) => ({ type: "token", value: text })],
  [/:[A-Za-z0-9+/=]*:/y, (text) => ({ type: "bytes", value: text })],
  [/%"(?:[\x20-\x21\x23-\x24\x26-\x7e]|%[0-9a-f]{2})*"/y, (text) => ({ type: "display", value: text })],
];
