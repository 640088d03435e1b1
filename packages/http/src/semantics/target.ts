import { firstOf, joinedOf, type FieldLines } from "./fields.ts";
import type { SearchRule } from "./no-vary-search.ts";

/** How queries count in keys. */
export interface SearchSettings {
  /** Whether a parameter of this name is left out. */
  readonly ignores?: ((parameter: string) => boolean) | undefined;
  readonly sorts?: boolean | undefined;
}

/**
 * An absolute URL, in the form of a key (RFC 9111, section 2): no fragment, `/` for an empty path, percent-encoding in
 * upper case. Nothing is decoded or resolved: paths that differ for a handler never have the same key.
 */
export function targetOf(url: string, search: SearchSettings = {}): string {
  const parts = PARTS.exec(url);
  if (parts === null) return url;
  const [, origin = "", path = "", query] = parts;
  const target = `${origin.toLowerCase()}${upperCaseEscapes(path === "" ? "/" : path)}`;
  if (query === undefined) return target;
  const kept = search.ignores === undefined && search.sorts !== true ? query : shortened(query, search);
  return kept === "" && query !== "" ? target : `${target}?${upperCaseEscapes(kept)}`;
}

/** The URL under a No-Vary-Search rule: apart from keys without it, and from those of other rules. */
export const targetUnder = (url: string, rule: SearchRule): string =>
  `${rule.text} ${targetOf(url, { ignores: rule.ignores, sorts: rule.ignoresOrder })}`;

/** The URL as its client wrote it, with the parameters of the query that count, in the order of the key. */
export function withQueryOfKey(url: string, search: SearchSettings): string {
  const [path = "", query] = url.split(/\?(.*)/s, 2);
  if (query === undefined || (search.ignores === undefined && search.sorts !== true)) return url;
  const kept = shortened(query, search);
  return kept === "" ? path : `${path}?${kept}`;
}

function shortened(query: string, { ignores, sorts }: SearchSettings): string {
  let parameters = query.split("&").map((text) => ({ text, name: nameOf(text) }));
  if (ignores !== undefined) {
    // A query may have thousands of parameters, of few names.
    const known = new Map<string, boolean>();
    const isIgnored = (name: string): boolean => {
      const before = known.get(name);
      if (before !== undefined) return before;
      const isOut = ignores(name);
      known.set(name, isOut);
      return isOut;
    };
    parameters = parameters.filter(({ name }) => !isIgnored(name));
  }
  // Stable: the order of values of one name is kept.
  if (sorts === true) parameters = parameters.toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return parameters.map(({ text }) => text).join("&");
}

function nameOf(parameter: string): string {
  const [name = ""] = parameter.split("=", 1);
  if (!/[%+]/.test(name)) return name;
  try {
    return decodeURIComponent(name.replaceAll("+", " "));
  } catch {
    return name;
  }
}

const upperCaseEscapes = (text: string): string =>
  text.includes("%") ? text.replace(/%[0-9a-f]{2}/gi, (escape) => escape.toUpperCase()) : text;

/** Origin, path, query; the fragment is dropped. */
const PARTS = /^([^/?#]+:\/\/[^/?#]*)([^?#]*)(?:\?([^#]*))?/;

/**
 * The origin for which a server-side request is cached; `undefined` where it names one that is not listed: any client
 * can send any Host.
 *
 * @param scheme of the connection.
 * @param settings.origins such as `https://shop.example`, in lower case.
 */
export function originOf(
  request: FieldLines,
  scheme: "http" | "https",
  { origins, trustProxy }: { readonly origins: ReadonlySet<string>; readonly trustProxy: boolean },
): string | undefined {
  const forwardedHost = trustProxy ? lastMember(joinedOf(request, "x-forwarded-host")) : undefined;
  const forwardedScheme = trustProxy ? lastMember(joinedOf(request, "x-forwarded-proto")) : undefined;
  const host = forwardedHost ?? firstOf(request, "host");
  if (host === undefined || !HOST.test(host)) return undefined;
  const [, name = "", port] = PORT.exec(host.toLowerCase()) ?? [];
  const shownScheme = forwardedScheme === "http" || forwardedScheme === "https" ? forwardedScheme : scheme;
  const isDefault = port === undefined || port === (shownScheme === "https" ? "443" : "80");
  // A trailing dot names the same host.
  const origin = `${shownScheme}://${name.replace(/\.$/, "")}${isDefault ? "" : `:${port}`}`;
  return origins.has(origin) ? origin : undefined;
}

/** Each proxy adds its own at the end, so only the last one was written by the proxy next to us. */
const lastMember = (list: string | undefined): string | undefined => list?.split(",").at(-1)?.trim();

const HOST = /^(?:[a-z0-9._~-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i;
const PORT = /^(.*?)(?::(\d+))?$/;
