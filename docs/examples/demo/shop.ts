import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { inspector, type Inspector } from "@hotset/inspector";
import { inspectorListener } from "@hotset/inspector/node";
import { type Backend, type Cache, createCache, json, memory, msgpack, redis, sqlite } from "hotset";
import { Catalogue, type Price } from "./catalogue.ts";
import { Database, IN_DATABASE } from "./database.ts";
import type { StoreOptions } from "./store.ts";

export interface ShopOptions {
  readonly store: StoreOptions;
  /** How it writes values. It reads both. */
  readonly format: "json" | "msgpack";
  /** The folder of the catalogue. */
  readonly folder: string;
  /** A PostgreSQL with further prices, whose log the cache follows. @default none */
  readonly postgresUrl?: string | undefined;
  /** `0` takes a free port. @default 0 */
  readonly port?: number;
  /** Pages about its cache, at `/hotset/`. @default false */
  readonly hasInspector?: boolean;
  /** Is asked first: whether it answers the request. @default none */
  readonly answer?: (request: IncomingMessage, response: ServerResponse) => boolean;
}

/**
 * Prices over HTTP, one of several processes that share a cache:
 *
 *     GET /prices/<product>      the price; 404 for a product that is not sold
 *     PUT /prices/<product>      changes it in the catalogue, and makes every process drop its copy
 *     DELETE /prices/<product>   removes it from the catalogue, likewise
 *
 * No process knows the others, and none has a setting for this.
 */
export class Shop {
  readonly cache: Cache;
  readonly #catalogue: Catalogue;
  readonly #server: Server;
  readonly #inspect: Inspector | undefined;
  #database: Database | undefined;

  private constructor(options: ShopOptions) {
    this.cache = createCache({ name: "prices", explain: 1_000 })
      .tier(memory())
      .tier(backendOf(options))
      .defaults({ ttl: "1h" })
      .build();
    this.#catalogue = new Catalogue(options.folder);
    this.#inspect = options.hasInspector === true ? inspector(this.cache, { write: true }) : undefined;
    const inspected = this.#inspect && inspectorListener(this.#inspect);
    this.#server = createServer((request, response) => {
      if (options.answer?.(request, response) === true) return;
      if (inspected !== undefined && request.url?.startsWith("/hotset") === true) inspected(request, response);
      else void this.#answer(request, response);
    });
  }

  /**
   * @throws {BackendUnavailableError} if Redis does not answer.
   * @throws {Error} of `node:net` if the port is in use.
   */
  static async start(options: ShopOptions): Promise<Shop> {
    const shop = new Shop(options);
    try {
      await shop.cache.connect();
      if (options.postgresUrl !== undefined) shop.#database = await Database.open(options.postgresUrl, shop.cache);
      shop.#server.listen(options.port ?? 0, "127.0.0.1");
      await once(shop.#server, "listening");
    } catch (error) {
      await shop.cache.close();
      throw error;
    }
    return shop;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#inspect?.close();
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeIdleConnections();
    await closed;
    await this.#database?.close();
    await this.cache.close();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const product = /^\/prices\/([\w-]+)$/.exec(request.url ?? "")?.[1];
    try {
      if (product === undefined) return send(response, 404, { error: "the only path is /prices/<product>" });
      if (request.method === "GET") {
        // `null` is cached, too: it means that the product is not sold.
        const price =
          product === IN_DATABASE && this.#database !== undefined
            ? await this.#database.price(product)
            : await this.cache.getOrSet<Price | null>(product, ({ signal }) => this.#catalogue.look(product, signal));
        return send(response, price === null ? 404 : 200, price ?? { error: "this product is not sold" });
      }
      if (request.method === "PUT") {
        const price = await this.#catalogue.change(product, Number(await bodyOf(request)));
        const { status } = await this.cache.delete(product);
        return send(response, 200, { ...price, status });
      }
      if (request.method === "DELETE") {
        await this.#catalogue.remove(product);
        const { status } = await this.cache.delete(product);
        return send(response, 200, { status });
      }
      send(response, 405, { error: "only GET, PUT and DELETE are allowed" });
    } catch (error) {
      if (!response.destroyed) send(response, 500, { error: error instanceof Error ? error.message : String(error) });
    }
  }
}

function backendOf({ store, format }: ShopOptions): Backend {
  const [written, alsoRead] = format === "json" ? [json(), msgpack()] : [msgpack(), json()];
  if ("sqliteFile" in store) return sqlite(store.sqliteFile, { format: written, alsoReads: [alsoRead] });
  return redis(store.redisUrl)
    .keyPrefix(store.keyPrefix)
    .valueFormat(written)
    .alsoReads(alsoRead)
    .backoff({ base: "20ms", max: "250ms" })
    .build();
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) text += String(chunk);
  return text;
}

function send(response: ServerResponse, status: number, body: unknown): void {
  const bytes = Buffer.from(`${JSON.stringify(body)}\n`);
  response.writeHead(status, { "content-type": "application/json; charset=utf-8", "content-length": bytes.byteLength });
  response.end(bytes);
}
