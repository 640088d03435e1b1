import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { OwnRedis } from "@hotset/test-servers";
import { same, type Pair, type Server } from "./workshop.ts";

export interface Running {
  readonly a: Server;
  readonly b: Server;
  readonly pair: Pair;
  readonly redis: OwnRedis;
  readonly origin: Origin;
}

/** Where the data of pages comes from. It answers how often it was asked for a name. */
export class Origin implements AsyncDisposable {
  readonly #asked = new Map<string, number>();
  readonly #held = new Map<string, Promise<void>>();
  readonly #server = createServer((request, response) => {
    const name = request.url!.slice(1);
    const n = this.asked(name) + 1;
    this.#asked.set(name, n);
    response.setHeader("content-type", "application/json");
    void (this.#held.get(name) ?? Promise.resolve()).then(() => response.end(JSON.stringify({ n })));
  });

  static async start(): Promise<Origin> {
    const origin = new Origin();
    await new Promise<void>((resolve) => origin.#server.listen(0, "127.0.0.1", resolve));
    return origin;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  asked(name: string): number {
    return this.#asked.get(name) ?? 0;
  }

  /** Keeps answers for this name back. @returns a function that waits for a request, and one that lets it go. */
  hold(name: string): { readonly asked: () => Promise<void>; readonly release: () => void } {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#held.set(name, promise);
    const before = this.asked(name);
    return {
      asked: async () => {
        while (this.asked(name) === before) await sleep(20);
      },
      release: () => {
        this.#held.delete(name);
        resolve();
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

export interface Made {
  readonly id: string;
  readonly from: string;
  readonly runs: number;
  readonly n: number;
}

export interface Answer {
  readonly status: number;
  readonly cache: string | null;
  readonly text: string;
  readonly made: Made | undefined;
}

/** A page, with what it shows. */
export async function ask(server: Server, path: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(`${server.url}/${path}`, { signal: AbortSignal.timeout(5_000), ...init });
  const text = await response.text();
  const shown = /data-made="([^"]*)"/.exec(text)?.[1]?.replaceAll("&quot;", '"');
  const made = shown === undefined ? undefined : (JSON.parse(shown) as Made);
  return { status: response.status, cache: response.headers.get("x-nextjs-cache"), text, made };
}

/** The answer of one, and that of the other once Redis has it, while it is fresh in 15.5. */
export const both = async (one: Server, other: Server, path: string, init?: RequestInit) =>
  [await ask(one, path, init), await sleep(STORED_MS / 4).then(() => ask(other, path, init))] as const;

/** MISS on A, HIT on B, and the same bytes. */
export async function isShared({ a, b }: Running, path: string, status = 200): Promise<void> {
  const [first, second] = await both(a, b, path);
  same([first.status, first.cache, second.status, second.cache], [status, "MISS", status, "HIT"]);
  if (first.text !== second.text) throw new Error("other bytes");
}

/** Next invalidates after its answer. */
export async function revalidate({ pair }: Running, query: string, by: "a" | "b" = "a"): Promise<void> {
  await pair[by](`revalidate?${query}`);
  await sleep(500);
}

/** Longer than it takes to store a value behind an answer. */
export const STORED_MS = 1_000;

/** The answer of A, which B has, too, once it is stored. */
export async function stored({ pair }: Pick<Running, "pair">, path: string): Promise<Made> {
  const made = await pair.a<Made>(path);
  await sleep(STORED_MS);
  same(await pair.b(path), made);
  return made;
}

/** After A has invalidated it, both have the same new one. */
export async function isNew(running: Running, path: string, query: string): Promise<void> {
  const { pair } = running;
  const old = await stored(running, path);
  await revalidate(running, query);
  const found = await pair.b<Made>(path);
  if (found.runs === old.runs && found.from === old.from) throw new Error("still the old one");
  await sleep(STORED_MS);
  same(await pair.a(path), found);
}

/** The old one once, and then a new one. */
export async function isOldOnce(running: Running, path: string, query: string): Promise<void> {
  const { pair } = running;
  const old = await stored(running, path);
  await revalidate(running, query);
  same(await pair.b(path), old);
  await sleep(500);
  await pair.agree(path, old);
}

/** Warnings of hotset have its name. */
export function hasCleanLogs(servers: readonly Server[]): void {
  const lines = servers
    .flatMap((server) => server.output().split("\n"))
    .filter((line) => !line.includes("HotsetWarning"));
  const bad = lines.find((line) => /\berror\b|unhandled|exception/i.test(line));
  if (bad !== undefined) throw new Error(bad);
}
