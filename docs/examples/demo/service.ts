import type { Cache } from "hotset";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { cacheHeaders } from "./cache-status.ts";
import { createFactsCache, DRAFT_TTL_MS, type FactsCacheOptions } from "./facts-cache.ts";
import type { PackageCopy } from "./package-copy.ts";
import { readPackageFacts, type PackageFacts } from "./package-facts.ts";

export interface ServiceOptions extends Omit<FactsCacheOptions, "file"> {
  readonly copy: PackageCopy;
  /** `0` takes a free port. @default 0 */
  readonly port?: number;
}

/**
 * Facts about packages over HTTP:
 *
 *     GET /packages/<name>   facts, with `Age` and `Cache-Status`; 404 for an unknown package
 *     GET /packages          the names
 *     GET /stats             the numbers of the cache
 *     GET /healthz           200 while it serves, also without Redis
 */
export class Service {
  readonly cache: Cache;
  readonly #copy: PackageCopy;
  readonly #server: Server;
  #closed: Promise<void> | undefined;

  private constructor({ copy, ...cache }: ServiceOptions) {
    this.cache = createFactsCache({ ...cache, file: copy.cacheFile });
    this.#copy = copy;
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  /**
   * @throws {BackendUnavailableError} if the given Redis does not answer.
   * @throws {Error} of `node:net` if the port is in use.
   */
  static async start(options: ServiceOptions): Promise<Service> {
    const service = new Service(options);
    try {
      await service.cache.connect();
      service.#server.listen(options.port ?? 0, "127.0.0.1");
      await once(service.#server, "listening");
    } catch (error) {
      await service.cache.close();
      throw error;
    }
    return service;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Answers the requests under way, refuses later ones, and closes the cache. Idempotent. */
  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    await closed;
    await this.cache.close();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? "/").split("?", 1)[0]!;
    try {
      if (request.method !== "GET" && request.method !== "HEAD")
        send(response, 405, { error: "only GET and HEAD are allowed" }, { allow: "GET, HEAD" });
      else if (path === "/healthz") send(response, 200, { status: "ok", tiers: this.#tierStates() });
      else if (path === "/stats") send(response, 200, this.cache.stats());
      else if (path === "/packages") send(response, 200, this.#copy.names);
      else if (path.startsWith("/packages/")) await this.#answerFacts(path.slice("/packages/".length), response);
      else send(response, 404, { error: "the paths are /packages, /packages/<name>, /stats and /healthz" });
    } catch (error) {
      if (!response.destroyed) send(response, 500, { error: error instanceof Error ? error.message : String(error) });
    }
  }

  async #answerFacts(name: string, response: ServerResponse): Promise<void> {
    const folder = this.#copy.folderOf(decodeName(name));
    if (folder === undefined) {
      send(response, 404, { error: "unknown package; /packages lists all" });
      return;
    }
    // A client that hangs up stops waiting; if it was the only one, the load ends, too.
    const hangUp = new AbortController();
    response.once("close", () => hangUp.abort());
    let headers = {};
    const facts = await this.cache.getOrSet(
      decodeName(name),
      async ({ signal, setOptions }): Promise<PackageFacts> => {
        const loaded = await readPackageFacts(folder, signal);
        if (loaded.version.includes("-")) setOptions({ ttl: DRAFT_TTL_MS });
        return loaded;
      },
      { signal: hangUp.signal, onServed: (served) => (headers = cacheHeaders(served)) },
    );
    send(response, 200, facts, headers);
  }

  #tierStates(): Readonly<Record<string, string>> {
    return Object.fromEntries(this.cache.stats().tiers.map(({ label, state }) => [label, state]));
  }
}

function decodeName(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return encoded;
  }
}

function send(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  const bytes = Buffer.from(`${JSON.stringify(body)}\n`);
  response.writeHead(status, {
    "content-type": "application/json; charset=utf-8",
    "content-length": bytes.byteLength,
    ...headers,
  });
  // Node drops the body of a response to HEAD.
  response.end(bytes);
}
