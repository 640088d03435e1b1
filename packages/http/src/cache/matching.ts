import { joinedOf, type Head } from "../semantics/fields.ts";
import { listAt, objectAt, refusal, textsAt } from "./checks.ts";
import type { PlainRequest } from "./messages.ts";

/**
 * Text is equality; `true` is presence, `false` absence; `regex` is the source of a regular expression, which may match
 * anywhere in the text.
 */
export type TextMatch = string | boolean | { readonly regex: string };

/** Requests, as plain data. All properties must hold. */
export interface RequestMatch {
  /** One of these, in upper case. */
  readonly method?: readonly string[] | undefined;
  /**
   * `/books/{id}` and `/static/{rest}*`: a parameter is a whole segment, or with `*` all that follows. As lenient
   * routers match: case, encoded letters, double slashes and one at the end don't count.
   */
  readonly path?: string | readonly string[] | undefined;
  /** Query parameters. */
  readonly query?: Readonly<Record<string, TextMatch>> | undefined;
  /** By the names of fields, in any case. */
  readonly header?: Readonly<Record<string, TextMatch>> | undefined;
}

/** Responses, as plain data. All properties must hold. */
export interface ResponseMatch {
  /** Codes, classes, or first and last code of a range. */
  readonly status?: readonly (number | "2xx" | "3xx" | "4xx" | "5xx" | readonly [number, number])[] | undefined;
  /** Media types without parameters; `text/*` is a whole type. */
  readonly contentType?: readonly string[] | undefined;
}

/** Values of the parameters of a path. */
export type PathParameters = Readonly<Record<string, string>>;

type RequestTest = (request: PlainRequest) => PathParameters | undefined;
type ResponseTest = (response: Head) => boolean;
type TextTest = (text: string | undefined) => boolean;

/** @throws {ConfigurationError} that names the place. */
export function requestTest(at: string, given: unknown): RequestTest {
  const match = objectAt(at, given, ["method", "path", "query", "header"]);
  const methods = match["method"] === undefined ? undefined : textsAt(`${at}.method`, match["method"]);
  const paths = match["path"] === undefined ? undefined : pathTests(`${at}.path`, match["path"]);
  const query = textTests(`${at}.query`, match["query"]);
  const header = textTests(`${at}.header`, match["header"]);
  return (request) => {
    if (methods?.includes(request.method) === false) return undefined;
    const path = paths === undefined ? NO_PARAMETERS : parametersIn(pathOf(request.url), paths);
    if (path === undefined) return undefined;
    if (!header.every(([name, test]) => test(joinedOf(request.fields, name.toLowerCase())))) return undefined;
    if (query.length > 0) {
      const { searchParams } = new URL(request.url);
      if (!query.every(([name, test]) => test(searchParams.get(name) ?? undefined))) return undefined;
    }
    return path;
  };
}

/** @throws {ConfigurationError} that names the place. */
export function responseTest(at: string, given: unknown): ResponseTest {
  const match = objectAt(at, given, ["status", "contentType"]);
  const statuses = statusTests(`${at}.status`, match["status"]);
  const types = match["contentType"] === undefined ? undefined : textsAt(`${at}.contentType`, match["contentType"]);
  return (response) =>
    statuses?.some((test) => test(response.status)) !== false &&
    types?.some((type) => isOfType(type.toLowerCase(), response)) !== false;
}

/** Whether this match names a status. */
export const namesStatus = ({ status }: ResponseMatch, given: number): boolean =>
  statusTests("status", status)?.some((test) => test(given)) === true;

/** The names of the parameters in paths of this match. */
export const parametersOf = ({ path = [] }: RequestMatch): readonly string[] =>
  [path].flat().flatMap((each) => [...each.matchAll(PARAMETER)].map(([, name]) => name!));

const statusTests = (at: string, given: unknown): readonly ((status: number) => boolean)[] | undefined =>
  given === undefined ? undefined : listAt(at, given).map((each, i) => statusTest(`${at}[${i}]`, each));

function statusTest(at: string, given: unknown): (status: number) => boolean {
  if (Number.isInteger(given)) return (status) => status === given;
  if (typeof given === "string" && /^[2-5]xx$/.test(given)) return (status) => `${status}`[0] === given[0];
  if (Array.isArray(given) && given.length === 2 && given.every(Number.isInteger)) {
    const [first, last] = given as [number, number];
    return (status) => status >= first && status <= last;
  }
  throw refusal(`${at} must be a code (404), a class ("2xx") or a range ([200, 299])`);
}

function isOfType(type: string, { fields }: Head): boolean {
  const own = joinedOf(fields, "content-type")?.split(";", 1)[0]?.trim().toLowerCase();
  return own !== undefined && (type.endsWith("/*") ? own.startsWith(type.slice(0, -1)) : own === type);
}

function textTests(at: string, given: unknown): readonly (readonly [name: string, test: TextTest])[] {
  if (given === undefined) return [];
  const tests = objectAt(at, given, typeof given === "object" && given !== null ? Object.keys(given) : []);
  return Object.entries(tests).map(([name, test]) => [name, textTest(`${at}.${name}`, test)]);
}

function textTest(at: string, given: unknown): TextTest {
  if (typeof given === "string") return (text) => text === given;
  if (typeof given === "boolean") return (text) => (text !== undefined) === given;
  const pattern = regularExpression(`${at}.regex`, objectAt(at, given, ["regex"])["regex"]);
  return (text) => text !== undefined && pattern.test(text);
}

function regularExpression(at: string, source: unknown, flags?: string): RegExp {
  try {
    if (typeof source === "string") return new RegExp(source, flags);
  } catch {
    // Refused below.
  }
  throw refusal(`${at} must be the source of a regular expression`);
}

function pathTests(at: string, given: unknown): readonly ((path: string) => PathParameters | undefined)[] {
  return textsAt(at, typeof given === "string" ? [given] : given).map((pattern) => {
    const segments = asRouted(pattern).split("/");
    const isLast = (i: number): boolean => i === segments.length - 1;
    const sources = segments.map((segment, i) => {
      if (!/[{}*]/.test(segment)) return segment.replace(/[.+?^$()|[\]\\]/g, String.raw`\$&`);
      const [, name, rest] = /^\{(\w+)\}(\*?)$/.exec(segment) ?? [];
      if (name === undefined || (rest === "*" && !isLast(i)))
        throw refusal(`${at}: a parameter is a whole segment ("/books/{id}"), or the end ("/static/{rest}*")`);
      return `(?<${name}>${rest === "*" ? ".*" : "[^/]+"})`;
    });
    if (!pattern.startsWith("/")) throw refusal(`${at} must begin with "/", got ${JSON.stringify(pattern)}`);
    // A name that stands twice is refused here, too.
    const expression = regularExpression(at, `^${sources.join("/")}/?$`, "i");
    return (path) => {
      const found = expression.exec(path);
      return found === null ? undefined : { ...found.groups };
    };
  });
}

function parametersIn(path: string, tests: ReturnType<typeof pathTests>): PathParameters | undefined {
  for (const test of tests) {
    const found = test(path);
    if (found !== undefined) return found;
  }
  return undefined;
}

const pathOf = (url: string): string => asRouted(/^[^:]+:\/\/[^/?#]*([^?#]*)/.exec(url)?.[1] || "/");

/**
 * A path as lenient routers read it, so that no spelling of it goes past a rule: letters decoded, and slashes once. Its
 * case does not count either, nor does a slash at the end. Only rules read it so: each spelling has its own key.
 */
const asRouted = (path: string): string => path.replace(/(?:%[0-9a-f]{2})+/gi, decoded).replace(/\/{2,}/g, "/");

function decoded(escapes: string): string {
  try {
    return decodeURI(escapes);
  } catch {
    return escapes.replace(/%[0-7][0-9a-f]/gi, decodeURI);
  }
}

const PARAMETER = /\{(\w+)\}/g;
const NO_PARAMETERS: PathParameters = Object.freeze({});
