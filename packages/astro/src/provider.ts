import { createHash } from "node:crypto";
import { ConfigurationError, type Cache } from "@hotset/core";
import { checkBuild, checkNames, hasCode } from "@hotset/core/adapter";
import { httpCache, type FieldLine, type HttpCache, type KeyRule, type PlainResponse } from "@hotset/http";
import { readsOf, unnamed } from "./reads.ts";

/** `cache.provider.config` of the site: as that of Astro's own memory provider. Plain data. */
export interface AstroCacheConfig {
  /** The query parameters that count. */
  readonly query?:
    | {
        /** Whether their order does not count. @default true */
        readonly sort?: boolean | undefined;
        /** Only these count. Not with `exclude`. */
        readonly include?: readonly string[] | undefined;
        /** All but these; `*` at the end stands for any rest. @default `utm_*`, `fbclid` and the like, as in Astro */
        readonly exclude?: readonly string[] | undefined;
      }
    | undefined;
  /**
   * The hosts of the site, such as `["shop.example", "shop.example:8443"]`: pages for any other are made and not cached,
   * so that no made-up Host fills the cache. @default every host that Astro accepts
   */
  readonly hosts?: readonly string[] | undefined;
}

/** A `CacheProvider` of Astro 7. */
export interface AstroCacheProvider {
  /** Name of the provider in logs of Astro. */
  readonly name: string;
  /** Answers a request from the cache, or makes the page with `next`, whose error is passed on. */
  onRequest(context: AstroRequest, next: () => Promise<Response>): Promise<Response>;
  /** `path` without its query, on each host; and tags. For every process. */
  invalidate(options: { path?: string | undefined; tags?: string | string[] | undefined }): Promise<void>;
}

/** What Astro 7 gives a provider with each request. */
export interface AstroRequest {
  readonly request: Request;
  readonly url: URL;
  readonly logger?: { warn(message: string): void } | undefined;
}

/**
 * The default export of a module that `cache.provider.entrypoint` names.
 *
 * A page with `Astro.cache.set({ maxAge, swr, tags })` is made once for all requests that wait for it, in all
 * processes. Never shared are pages that set a cookie, that vary by cookie, and pages for requests with
 * `Authorization`. `build` is called once, with the config of the site, and opens nothing.
 *
 * @throws {ConfigurationError} for anything but a function; and when Astro calls it, for unknown names, and for both
 *   `include` and `exclude`.
 */
export function astroCache<C extends AstroCacheConfig>(
  build: (config: C | undefined) => Cache,
): (config: C | undefined) => AstroCacheProvider {
  checkBuild(build, "astroCache");
  return (config) => {
    const key = keyRuleOf(config?.query);
    const hosts = hostsOf(config?.hosts);
    const warned = new Warnings();
    const http = httpCache(build(config).namespace("astro"), {
      key,
      heuristic: false,
      // Astro.cache.set alone makes a page one for all.
      store: ({ fields }) => fields.some(([name]) => name === "cdn-cache-control"),
    });
    return {
      name: "hotset",
      onRequest({ request, url, logger }, next) {
        const isOurs = hosts === undefined || hosts.has(url.host);
        if (request.method !== "GET" || !isOurs) return next();
        return answered(http, request, isDevelopment() ? warned.around(next, { request, url, logger }) : next);
      },
      async invalidate({ path, tags = [] }) {
        const all = typeof tags === "string" ? [tags] : tags;
        await http.purgeTags(path === undefined ? all : [...all, pathTag(path.replace(/[?#].*$/, ""))]);
      },
    };
  };
}

/** Warns once of each page that is stored for everyone, and read something of the one who asked. */
class Warnings {
  readonly #given = new Set<string>();

  around(next: () => Promise<Response>, { request, url, logger }: AstroRequest): () => Promise<Response> {
    return async () => {
      // From now on: the cache has read the request by then.
      const read = readsOf(request);
      const page = await next();
      const names = isForAll(page) ? unnamed(read, page) : [];
      const which = `${url.pathname} ${names.join(", ")}`;
      if (names.length === 0 || this.#given.has(which) || this.#given.size >= MOST_WARNINGS) return page;
      this.#given.add(which);
      logger?.warn(
        `${url.pathname} is cached for everyone, but read ${names.join(", ")} of this visitor's request. ` +
          "Set Vary, or leave out Astro.cache.set.",
      );
      return page;
    };
  }
}

const MOST_WARNINGS = 100;

const isForAll = (page: Response): boolean =>
  !setsCookies(page) &&
  !page.headers.has("set-cookie") &&
  /^(?!.*\b(?:private|no-store)\b)./i.test(page.headers.get("cdn-cache-control") ?? "");

/** Read when a page is made: a build would put in what it is at that time. */
const isDevelopment = (): boolean => typeof process !== "undefined" && process.env["NODE_ENV"] !== "production";

async function answered(http: HttpCache, request: Request, next: () => Promise<Response>): Promise<Response> {
  let own: Response | undefined;
  let hasBegun = false;
  const origin = async (): Promise<PlainResponse> => {
    hasBegun = true;
    own = await next();
    return plainOf(own, new URL(request.url).pathname);
  };
  // Astro renders the request as it is: a page says by Vary that it depends on cookies.
  const fields = linesOf(request.headers).filter(([name]) => name !== "cookie");
  try {
    const answer = await http.answer({ method: "GET", url: request.url, fields, hasBody: false }, origin);
    return responseOf(answer, own);
  } catch (error) {
    if (hasBegun || !hasCode(error, "LOAD_TIMEOUT", "CACHE_CLOSED")) throw error;
    return next();
  }
}

/** Astro adds the cookies of a page to its answer later: here the field only says that there are some. */
function plainOf(page: Response, path: string): PlainResponse {
  const { status, statusText, headers, body } = page;
  const further: readonly FieldLine[] = [
    ...(setsCookies(page) ? [["set-cookie", "astro"] as const] : []),
    ...(headers.has("cdn-cache-control") ? [["cache-tag", pathTag(path)] as const] : []),
  ];
  return { status, statusText, fields: [...linesOf(headers), ...further], body };
}

function responseOf({ status, statusText, fields, body }: PlainResponse, own: Response | undefined): Response {
  const cookies = own === undefined ? undefined : cookiesOf(own);
  const hasBody = ![101, 204, 205, 304].includes(status);
  const response = new Response(hasBody ? (body as ReadableStream<Uint8Array<ArrayBuffer>> | null) : null, {
    status,
    statusText,
  });
  const ofOwn = own !== undefined && cookies !== undefined && setsCookies(own);
  for (const [name, value] of ofOwn ? linesOf(own.headers) : fields) response.headers.append(name, value);
  const outcome = outcomeOf(fields);
  if (outcome !== undefined && !ofOwn) response.headers.set("X-Astro-Cache", outcome);
  // Astro writes them, and later parts of it read them, from the response that it made.
  if (cookies !== undefined) Reflect.set(response, COOKIES, cookies);
  return response;
}

/** By our member of Cache-Status: a page that another request makes is a hit, one that is not cached nothing. */
function outcomeOf(fields: PlainResponse["fields"]): "HIT" | "STALE" | "MISS" | undefined {
  const member =
    fields
      .findLast(([name]) => name === "cache-status")?.[1]
      .split(",")
      .at(-1) ?? "";
  if (/; (?:hit|collapsed)\b/.test(member)) return /; ttl=-/.test(member) ? "STALE" : "HIT";
  return /; stored\b/.test(member) ? "MISS" : undefined;
}

const COOKIES = Symbol.for("astro.cookies");
interface AstroCookies {
  headers(): Generator<string, void, unknown>;
}
const cookiesOf = (page: Response): AstroCookies | undefined => Reflect.get(page, COOKIES) as AstroCookies | undefined;

const setsCookies = (page: Response): boolean => cookiesOf(page)?.headers().next().done === false;

const linesOf = (headers: Headers): FieldLine[] => [...headers] as FieldLine[];

/** A tag has no comma, and a bounded length. */
const pathTag = (path: string): string => `astro-path:${createHash("sha256").update(path).digest("base64url")}`;

function hostsOf(hosts: AstroCacheConfig["hosts"]): ReadonlySet<string> | undefined {
  if (hosts === undefined) return undefined;
  const given: readonly unknown[] = Array.isArray(hosts) ? hosts : [hosts];
  for (const host of given)
    if (typeof host !== "string" || !URL.canParse(`https://${host}`) || new URL(`https://${host}`).host !== host)
      throw new ConfigurationError(
        `astroCache: hosts must be names such as "shop.example", got ${JSON.stringify(host)}`,
      );
  return new Set(hosts);
}

function keyRuleOf(query: AstroCacheConfig["query"] = {}): KeyRule {
  checkNames(query, ["sort", "include", "exclude"], { place: "astroCache", inside: "query" });
  const { sort = true, include, exclude } = query;
  if (include !== undefined && exclude !== undefined)
    // As Astro names it.
    throw Object.assign(new ConfigurationError("query: give include or exclude, not both"), {
      name: "CacheQueryConfigConflict",
    });
  return { sortQuery: sort, query: include ?? { except: exclude ?? TRACKING } };
}

/** Query parameters that Astro 7 leaves out of keys. */
const TRACKING = [
  ...["utm_*", "fbclid", "gclid", "gbraid", "wbraid", "dclid", "msclkid", "twclid", "li_fat_id", "mc_cid", "mc_eid"],
  ...["_ga", "_gl", "_hsenc", "_hsmi", "_ke", "oly_anon_id", "oly_enc_id", "rb_clickid", "s_cid", "vero_id"],
  ...["wickedid", "yclid", "__s", "ref"],
];
