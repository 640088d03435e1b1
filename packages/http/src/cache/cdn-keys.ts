import { joinedOf, type FieldLine, type FieldLines } from "../semantics/fields.ts";
import { digest } from "./visit.ts";

/** The field by which a CDN knows the keys of a response. Its limits are those of the CDN's documents. */
export interface CdnField {
  /** In lower case. */
  readonly name: string;
  /** Between two keys. */
  readonly separator: "," | " ";
  /** The most bytes of its value. */
  readonly maxBytes: number;
  /** The most keys in it. */
  readonly maxKeys: number;
  /** The most bytes of one key; a longer tag is sent as a short hash. */
  readonly maxKeyBytes: number;
  /** Tags that are keys as they are. Each other one is sent as a short hash. */
  readonly plain: RegExp;
}

/** Keys of this cache's own begin so; a tag that does is hashed. */
const OWN = "~";
const hashed = (text: string): string => `${OWN}${digest(text)}`;

export const keyOfTag = (tag: string, { plain, maxKeyBytes }: CdnField): string =>
  tag.length <= maxKeyBytes && !tag.startsWith(OWN) && plain.test(tag) ? tag : hashed(`tag ${tag}`);

/** One key for all responses of a path, under any host and with any query: a purge of a URL is one of its path. */
export const keyOfPage = (url: string): string => hashed(`page ${pathOf(url)}`);

/** The key of every response of a cache. */
export const keyOfAll = (name: string, path: readonly string[]): string =>
  hashed(`all ${JSON.stringify([name, ...path])}`);

/** Spellings that a CDN may take for one path have one key. */
function pathOf(url: string): string {
  const [, whole = ""] = /^(?:[a-z]+:\/\/[^/?#]*)?([^?#]*)/i.exec(url)!;
  let end = whole.length;
  while (end > 0 && whole[end - 1] === "/") end -= 1;
  const path = `/${whole.slice(1, end)}`.toLowerCase();
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** `undefined` where the field cannot hold them all: then a purge would miss the response. */
export function keyField(keys: ReadonlySet<string>, field: CdnField): FieldLine | undefined {
  const text = [...keys].join(field.separator);
  return keys.size > field.maxKeys || text.length > field.maxBytes ? undefined : [field.name, text];
}

/** For clients alone: no shared cache may keep it. */
export function unshared(lines: FieldLines): FieldLines {
  const said = joinedOf(lines, "cache-control") ?? "";
  const directives = said.split(",").map((each) => each.trim());
  const kept = directives.filter(
    (each) => each !== "" && !/^(?:public|private|s-maxage|proxy-revalidate)$/i.test(each.split("=", 1)[0]!.trim()),
  );
  return [
    ...lines.filter(([name]) => name !== "cache-control" && !CONTROLS.has(name)),
    ["cache-control", [...kept, "private"].join(", ")],
  ];
}

/** Fields that say to CDNs how long they may keep a response, before what Cache-Control says. */
const CONTROLS: ReadonlySet<string> = new Set([
  "cdn-cache-control",
  "cloudflare-cdn-cache-control",
  "surrogate-control",
  "edge-control",
]);
