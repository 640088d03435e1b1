import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { OwnRedis } from "@hotset/test-servers";
import type { Cache } from "hotset";
import type { Catalogue, Price } from "./catalogue.ts";

/** The scene of npm start: customers of the shop, and buttons that bring it trouble. */
export class Troubles {
  readonly #of: TroublesOf;
  readonly #running = new Map<string, Promise<void>>();
  readonly #end = new AbortController();
  #lookMs = 0;

  constructor(of: TroublesOf) {
    this.#of = of;
    void this.#customers();
  }

  /** `GET /` is the page of buttons, and `POST /trouble/<name>` begins one. @returns whether it was one of these. */
  answer({ method, url = "" }: IncomingMessage, response: ServerResponse): boolean {
    const name = /^\/trouble\/([a-z]+)$/.exec(url)?.[1];
    if (method === "POST" && name !== undefined && this.#troubles().has(name)) {
      this.begin(name);
      response.writeHead(303, { location: "/" }).end();
      return true;
    }
    if (method !== "GET" || url !== "/") return false;
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(this.#page());
    return true;
  }

  /** Does nothing while it runs. */
  begin(name: string): void {
    const trouble = this.#troubles().get(name);
    if (trouble === undefined || this.#running.has(name)) return;
    // An interrupted one has ended.
    const running = trouble.run(this.#end.signal).catch(() => undefined);
    this.#running.set(
      name,
      running.then(() => void this.#running.delete(name)),
    );
  }

  /** Ends all, and leaves Redis as it was. */
  async close(): Promise<void> {
    this.#end.abort();
    await Promise.all(this.#running.values());
  }

  /** Some fifty prices a second, mostly of the same products, and now and then a new price. */
  async #customers(): Promise<void> {
    const { cache, catalogue, products } = this.#of;
    try {
      for (let turn = 1; ; turn += 1) {
        await sleep(100, undefined, { signal: this.#end.signal });
        for (let i = 0; i < 5; i += 1) void this.#price(oneOf(products)).catch(() => undefined);
        if (turn % 20 !== 0) continue;
        const product = oneOf(products);
        await catalogue.change(product, 100 + turn);
        void cache.delete(product);
      }
    } catch (error) {
      if (!this.#end.signal.aborted) throw error;
    }
  }

  #price(product: string): Promise<Price | null> {
    const { cache, catalogue } = this.#of;
    const look = async ({ signal }: { readonly signal: AbortSignal }): Promise<Price | null> => {
      await sleep(this.#lookMs, undefined, { signal });
      return catalogue.look(product, signal);
    };
    return cache.getOrSet<Price | null>(product, look, { tags: [TAG] });
  }

  #troubles(): ReadonlyMap<string, Trouble> {
    const { cache, products, own } = this.#of;
    const all: Record<string, Trouble> = {
      stampede: {
        says: "150 callers of one price that takes 2 s",
        run: async () => {
          const product = products[0]!;
          await cache.delete(product);
          const load = async (): Promise<Price> => sleep(2_000, { product, cents: 100, version: 1 });
          await Promise.all(Array.from({ length: 150 }, () => cache.getOrSet(product, load, { tags: [TAG] })));
        },
      },
      tags: {
        says: "a loop invalidates a tag ten times a second, for 20 s",
        run: async (signal) => {
          for (let i = 0; i < 200; i += 1) {
            await cache.invalidateTags(TAG);
            await sleep(100, undefined, { signal });
          }
        },
      },
      slow: {
        says: "prices take 3 s to load, for 20 s",
        run: async (signal) => {
          this.#lookMs = 3_000;
          try {
            await cache.clear();
            await sleep(20_000, undefined, { signal });
          } finally {
            this.#lookMs = 0;
          }
        },
      },
      ...(own !== undefined && {
        frozen: {
          says: "Redis does not answer, for 10 s",
          run: async (signal) => {
            own.pause();
            await sleep(10_000, undefined, { signal }).finally(() => own.resume());
          },
        },
        full: {
          says: "Redis has no memory left, for 20 s",
          run: async (signal) => {
            await own.command("CONFIG", "SET", "maxmemory", "1");
            const restore = (): Promise<unknown> => own.command("CONFIG", "SET", "maxmemory", "0");
            // oxlint-disable-next-line typescript/no-misused-promises -- it is awaited
            await sleep(20_000, undefined, { signal }).finally(restore);
          },
        },
      }),
    };
    return new Map(Object.entries(all));
  }

  #page(): string {
    const buttons = [...this.#troubles()].map(([name, { says }]) => {
      const state = this.#running.has(name) ? " disabled" : "";
      return `<form method="post" action="/trouble/${name}"><button${state}>${name}</button> ${says}</form>`;
    });
    return `<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>hotset demo</title>
<style>:root{color-scheme:light dark;font:16px/1.5 system-ui}body{max-width:40rem;margin:2rem auto;padding:0 1rem}
button{font:inherit;width:7rem;margin:.3rem .6rem .3rem 0}</style>
<h1>A shop with trouble</h1>
<p>Customers ask for prices all the time. Press a button, and watch <a href="/hotset/">the inspector</a>.</p>
${buttons.join("\n")}`;
  }
}

interface TroublesOf {
  readonly cache: Cache;
  readonly catalogue: Catalogue;
  readonly products: readonly string[];
  /** Only a Redis of the demo may be frozen and filled. */
  readonly own: OwnRedis | undefined;
}

interface Trouble {
  readonly says: string;
  readonly run: (signal: AbortSignal) => Promise<void>;
}

const TAG = "catalogue";

/** The first ones more often. */
const oneOf = (products: readonly string[]): string => products[Math.floor(products.length * Math.random() ** 3)]!;
