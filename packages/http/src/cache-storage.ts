import { ConfigurationError, type Duration, type LoadContext, type LoadOptions, type Namespace } from "@hotset/core";
import { namesIn } from "./semantics/fields.ts";

/** How a stored request is compared with the one that is asked for. */
export interface CacheQueryOptions {
  /** @default false */
  readonly ignoreSearch?: boolean | undefined;
  /** Whether a request of another method than GET matches. @default false */
  readonly ignoreMethod?: boolean | undefined;
  /** Whether the Vary of stored responses does not count. @default false */
  readonly ignoreVary?: boolean | undefined;
}

/** A query over several caches. */
export interface MultiCacheQueryOptions extends CacheQueryOptions {
  /** Asks this cache alone. */
  readonly cacheName?: string | undefined;
}

/** Options of `cacheStorage`. */
export interface CacheStorageOptions {
  /** How long a response is kept, unless a tier needs the room. Nothing else ends it. @default '30d' */
  readonly ttl?: Duration | undefined;
  /** Where relative URLs begin. */
  readonly base?: string | undefined;
  /** Gets what `add` and `addAll` store. @default the global `fetch` */
  readonly fetch?: ((request: Request) => Promise<Response>) | undefined;
}

/** A request, or the URL of a GET. */
export type RequestLike = Request | URL | string;

/**
 * The Web's `CacheStorage` over a namespace: caches by name, in the tiers of the hotset cache and shared by its
 * processes. Like everywhere in a cache, a response that a tier had to drop is not found.
 *
 * @throws {ConfigurationError} for a `base` that cannot be read as a URL.
 */
export function cacheStorage(namespace: Namespace, options: CacheStorageOptions = {}): WebCacheStorage {
  const { base } = options;
  if (base !== undefined && !URL.canParse(base)) throw new ConfigurationError("cacheStorage: base must be a URL");
  return new WebCacheStorage(namespace, options);
}

/** Caches by name, as `caches` of the Web. */
export class WebCacheStorage {
  readonly #namespace: Namespace;
  readonly #options: CacheStorageOptions;
  readonly #names: List<string>;
  readonly #open = new Map<string, WebCache>();

  constructor(namespace: Namespace, options: CacheStorageOptions) {
    this.#namespace = namespace;
    this.#options = options;
    this.#names = new List(namespace, "names", isText, options.ttl);
  }

  async open(name: string): Promise<WebCache> {
    await this.#names.change((names) => (names.includes(name) ? names : [...names, name]));
    return this.#cache(name);
  }

  async has(name: string): Promise<boolean> {
    return (await this.#names.read()).includes(name);
  }

  /** Removes a cache with all of its responses; `false` when there is none. */
  async delete(name: string): Promise<boolean> {
    let isThere = false;
    await this.#names.change((names) => {
      isThere = names.includes(name);
      return names.filter((each) => each !== name);
    });
    if (isThere) await this.#namespace.namespace(`cache ${name}`).clear();
    return isThere;
  }

  /** Names in the order in which they were opened. */
  keys(): Promise<readonly string[]> {
    return this.#names.read();
  }

  /** The first response for `request` in any cache, in the order in which they were opened. */
  async match(request: RequestLike, options: MultiCacheQueryOptions = {}): Promise<Response | undefined> {
    const { cacheName } = options;
    const names = await this.#names.read();
    for (const name of cacheName === undefined ? names : names.filter((each) => each === cacheName)) {
      const response = await this.#cache(name).match(request, options);
      if (response !== undefined) return response;
    }
    return undefined;
  }

  #cache(name: string): WebCache {
    const cache = this.#open.get(name) ?? new WebCache(this.#namespace.namespace(`cache ${name}`), this.#options);
    this.#open.set(name, cache);
    return cache;
  }
}

/** One cache of `cacheStorage`, as `Cache` of the Web: what is put is found until it is deleted. */
export class WebCache {
  readonly #namespace: Namespace;
  readonly #options: CacheStorageOptions;
  /** Addresses without a query, each with a list of requests. */
  readonly #paths: List<string>;
  readonly #lists = new Map<string, List<Item>>();

  constructor(namespace: Namespace, options: CacheStorageOptions) {
    this.#namespace = namespace;
    this.#options = options;
    this.#paths = new List(namespace, "paths", isText, options.ttl);
  }

  async match(request: RequestLike, options: CacheQueryOptions = {}): Promise<Response | undefined> {
    const asked = this.#request(request);
    for (const item of await this.#find(asked, options)) {
      const response = await this.#response(item);
      if (response !== undefined) return response;
    }
    return undefined;
  }

  /** Responses in the order in which they were put; without a request all of them. */
  async matchAll(request?: RequestLike, options: CacheQueryOptions = {}): Promise<readonly Response[]> {
    const items = await this.#find(request === undefined ? undefined : this.#request(request), options);
    const responses = await Promise.all(items.map((item) => this.#response(item)));
    return responses.filter((response) => response !== undefined);
  }

  /** Requests in the order in which they were put. */
  async keys(request?: RequestLike, options: CacheQueryOptions = {}): Promise<readonly Request[]> {
    const items = await this.#find(request === undefined ? undefined : this.#request(request), options);
    return items.map(({ url, fields }) => new Request(url, { headers: fields as [string, string][] }));
  }

  /**
   * Stores `response`, whose body it reads to the end.
   *
   * @throws {TypeError} for another method than GET, another scheme than HTTP, a status of 206, `Vary: *`, and a body
   *   that is used or locked.
   */
  async put(request: RequestLike, response: Response): Promise<void> {
    await this.#putAll([[this.#request(request), response]]);
  }

  /** Fetches and stores. @throws {TypeError} for what may not be stored, and for a status that is not 2xx. */
  add(request: RequestLike): Promise<void> {
    return this.addAll([request]);
  }

  /** Fetches all, and stores all or none. @throws as `add`, and for two requests of the same response. */
  async addAll(requests: readonly RequestLike[]): Promise<void> {
    const asked = requests.map((request) => this.#request(request));
    for (const request of asked) refuseRequest(request);
    const { fetch: get = fetch } = this.#options;
    const pairs = await Promise.all(
      asked.map(async (request): Promise<Pair> => {
        const response = await get(request.clone());
        if (!response.ok) throw new TypeError(`${request.url} was answered with ${response.status}`);
        return [request, response];
      }),
    );
    const items = pairs.map(([request, response]) => itemOf(request, response));
    for (const [i, [request]] of pairs.entries())
      if (items.some((item, j) => j < i && matches(item, request, {})))
        throw new DOMException(`${request.url} is there twice`, "InvalidStateError");
    await this.#putAll(pairs);
  }

  /** Whether anything was removed. */
  async delete(request: RequestLike, options: CacheQueryOptions = {}): Promise<boolean> {
    const asked = this.#request(request);
    if (!mayMatch(asked, options)) return false;
    let gone: readonly Item[] = [];
    const path = pathOf(asked.url);
    const left = await this.#list(path).change((items) => {
      gone = items.filter((item) => matches(item, asked, options));
      return items.filter((item) => !gone.includes(item));
    });
    if (left.length === 0) await this.#forget(path);
    await this.#drop(gone);
    return gone.length > 0;
  }

  async #putAll(pairs: readonly Pair[]): Promise<void> {
    for (const [request, response] of pairs) refusePair(request, response);
    const stored = await Promise.all(
      pairs.map(async ([request, response]) => ({
        request,
        item: itemOf(request, response),
        entry: await entryOf(response),
      })),
    );
    for (const { request, item, entry } of stored) {
      await this.#namespace.set(responseKey(item), entry, lifetime(this.#options.ttl));
      let replaced: readonly Item[] = [];
      const path = pathOf(request.url);
      await this.#list(path).change((items) => {
        replaced = items.filter((each) => matches(each, request, {}));
        return [...items.filter((each) => !replaced.includes(each)), item];
      });
      await this.#remember(path);
      await this.#drop(replaced);
    }
  }

  #remember(path: string): Promise<unknown> {
    return this.#paths.change((paths) => (paths.includes(path) ? paths : [...paths, path]));
  }

  /** Responses that were put in the meantime stay. */
  async #forget(path: string): Promise<void> {
    await this.#paths.change((paths) => paths.filter((each) => each !== path));
    if ((await this.#list(path).read()).length > 0) await this.#remember(path);
  }

  async #drop(items: readonly Item[]): Promise<void> {
    if (items.length > 0) await this.#namespace.deleteMany(items.map(responseKey));
  }

  async #find(request: Request | undefined, options: CacheQueryOptions): Promise<readonly Item[]> {
    if (request === undefined) {
      const all = await Promise.all((await this.#paths.read()).map((path) => this.#list(path).read()));
      return all.flat().toSorted((a, b) => a.order - b.order);
    }
    if (!mayMatch(request, options)) return [];
    return (await this.#list(pathOf(request.url)).read()).filter((item) => matches(item, request, options));
  }

  async #response(item: Item): Promise<Response | undefined> {
    const entry: unknown = await this.#namespace.get(responseKey(item));
    if (typeof entry !== "object" || entry === null || (entry as Entry).format !== FORMAT) return undefined;
    const { status, statusText, fields, body, url } = entry as Entry;
    if (body !== null && !(body instanceof Uint8Array)) return undefined;
    try {
      const response = new Response(body as Uint8Array<ArrayBuffer> | null, {
        status,
        statusText,
        headers: fields as [string, string][],
      });
      Object.defineProperty(response, "url", { value: url });
      return response;
    } catch {
      // An entry in a shared store can be forged.
      return undefined;
    }
  }

  #list(path: string): List<Item> {
    const list = this.#lists.get(path) ?? new List(this.#namespace, `at ${path}`, isItem, this.#options.ttl);
    this.#lists.set(path, list);
    // A list waits only for changes that run.
    if (this.#lists.size > MOST_LISTS) this.#lists.delete(this.#lists.keys().next().value!);
    return list;
  }

  #request(given: RequestLike): Request {
    if (given instanceof Request) return given;
    return new Request(new URL(given, this.#options.base));
  }
}

type Pair = readonly [request: Request, response: Response];
type Fields = readonly (readonly [name: string, value: string])[];

/** A stored request. */
interface Item {
  readonly id: string;
  readonly order: number;
  readonly url: string;
  readonly fields: Fields;
  /** Fields that the Vary of its response names. */
  readonly vary: readonly string[];
}

/** A stored response. */
interface Entry {
  readonly format: typeof FORMAT;
  readonly status: number;
  readonly statusText: string;
  readonly fields: Fields;
  readonly url: string;
  readonly body: Uint8Array | null;
}

/** A list as an entry. Each change is a load: under a lease it depends on what is there, also across processes. */
class List<T> {
  readonly #namespace: Namespace;
  readonly #key: string;
  readonly #isOne: (value: unknown) => value is T;
  readonly #ttl: Duration | undefined;
  /** In this process, one change after another. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(namespace: Namespace, key: string, isOne: (value: unknown) => value is T, ttl: Duration | undefined) {
    this.#namespace = namespace;
    this.#key = key;
    this.#isOne = isOne;
    this.#ttl = ttl;
  }

  async read(): Promise<readonly T[]> {
    return this.#listIn(await this.#namespace.get(this.#key));
  }

  change(change: (list: readonly T[]) => readonly T[]): Promise<readonly T[]> {
    const changed = this.#last.then(() => this.#change(change));
    this.#last = changed.catch(() => undefined);
    return changed;
  }

  async #change(change: (list: readonly T[]) => readonly T[]): Promise<readonly T[]> {
    for (;;) {
      let isMine = false;
      const result: unknown = await this.#namespace.getOrSet(
        this.#key,
        (ctx: LoadContext) => {
          isMine = true;
          const before = this.#listIn(ctx.stale?.value);
          const after = change(before);
          if (after === before) return ctx.noStore(after);
          ctx.setOptions(lifetime(this.#ttl));
          return after;
        },
        { maxAge: 0, errorBackoff: 0 },
      );
      // Another process changed it in the same moment.
      if (isMine) return this.#listIn(result);
    }
  }

  #listIn(value: unknown): readonly T[] {
    return Array.isArray(value) ? value.filter(this.#isOne) : [];
  }
}

const lifetime = (ttl: Duration = "30d"): LoadOptions => ({ ttl, staleWhileRevalidate: 0, staleIfError: 0 });
const isText = (value: unknown): value is string => typeof value === "string";

function isItem(value: unknown): value is Item {
  const { id, order, url, fields, vary } = (value ?? {}) as Partial<Item>;
  return isText(id) && typeof order === "number" && isText(url) && Array.isArray(fields) && Array.isArray(vary);
}

let latest = 0;
/** Later than all before it in this process. */
const nextOrder = (): number => (latest = Math.max(latest + 1 / 1_024, Date.now()));

const itemOf = (request: Request, response: Response): Item => ({
  id: crypto.randomUUID(),
  order: nextOrder(),
  url: request.url,
  fields: [...request.headers] as Fields,
  vary: varyOf(response),
});

async function entryOf(response: Response): Promise<Entry> {
  const { status, statusText, headers, url } = response;
  const body = response.body === null ? null : new Uint8Array(await response.arrayBuffer());
  return { format: FORMAT, status, statusText, fields: [...headers] as Fields, url, body };
}

const responseKey = ({ id }: Item): string => `response ${id}`;
const varyOf = ({ headers }: Response): readonly string[] => namesIn(headers.get("vary") ?? undefined);
const withoutFragment = (url: string): string => /^[^#]*/.exec(url)![0];
const pathOf = (url: string): string => /^[^?#]*/.exec(url)![0];

const mayMatch = (request: Request, { ignoreMethod = false }: CacheQueryOptions): boolean =>
  ignoreMethod || request.method === "GET";

function matches(
  item: Item,
  request: Request,
  { ignoreSearch = false, ignoreVary = false }: CacheQueryOptions,
): boolean {
  const same = ignoreSearch ? pathOf : withoutFragment;
  if (same(item.url) !== same(request.url)) return false;
  return ignoreVary || item.vary.every((name) => valueIn(item.fields, name) === request.headers.get(name));
}

const valueIn = (fields: Fields, name: string): string | null => fields.find((line) => line[0] === name)?.[1] ?? null;

function refuseRequest({ method, url }: Request): void {
  if (!/^https?:/.test(url)) throw new TypeError("a cache holds requests of http and https alone");
  if (method !== "GET") throw new TypeError(`a cache holds no request of ${method}`);
}

function refusePair(request: Request, response: Response): void {
  refuseRequest(request);
  if (response.status === 206) throw new TypeError("a cache holds no part of a response: its status is 206");
  if (response.status === 0) throw new TypeError("a cache holds no network error");
  if (varyOf(response).includes("*")) throw new TypeError("a cache holds no response with Vary: *");
  if (response.bodyUsed || response.body?.locked === true) throw new TypeError("the body of the response is used");
}

const FORMAT = 1;
const MOST_LISTS = 1_000;
