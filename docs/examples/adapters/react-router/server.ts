// One process of a small site. The test runs two of them over one Redis.

import { answerCalls } from "@hotset/test-servers";
import { createCache, memory, redis } from "hotset";
import { createStaticHandler, data, redirect, type LoaderFunctionArgs } from "react-router";
import { loaderCache } from "./loader-cache.ts";

const cache = createCache({ name: "site" })
  .tier(memory())
  .tier(redis(process.env["REDIS_URL"]!).keyPrefix(process.env["KEY_PREFIX"]!).responseTimeout("15s").build())
  .defaults({ ttl: "10m", staleIfError: "1h" })
  .build();
const { cached, results } = loaderCache(cache);

/** As the database has it. */
let name = "Ada";
let runs = 0;
let begun: (() => void) | undefined;
let hold: Promise<void> | undefined;

const counted = <T>(answer: T): T => {
  runs += 1;
  return answer;
};
const visitor = ({ request }: LoaderFunctionArgs): string | undefined => request.headers.get("cookie") ?? undefined;

const { queryRoute } = createStaticHandler([
  {
    id: "user",
    path: "/users/:id",
    loader: cached(
      { name: "user", tags: ({ params }) => [`user:${params["id"]}`] },
      async ({ params, url, request }) => {
        const found = counted({ id: params["id"], page: url.searchParams.get("page"), name });
        begun?.();
        await hold;
        request.signal.throwIfAborted();
        return found;
      },
    ),
  },
  {
    id: "mine",
    path: "/mine",
    loader: cached({ name: "mine", by: visitor }, async (args) => counted(`of ${visitor(args) ?? "all"}`)),
  },
  {
    id: "old",
    path: "/old",
    loader: cached({ name: "old" }, async () => {
      throw counted<unknown>(redirect("/users/1"));
    }),
  },
  {
    id: "none",
    path: "/none",
    loader: cached({ name: "none" }, async () => {
      throw counted<unknown>(new Response("no such user", { status: 404 }));
    }),
  },
  {
    id: "login",
    path: "/login",
    loader: cached({ name: "login" }, async () => counted(data("hello", { headers: { "set-cookie": `id=${runs}` } }))),
  },
  {
    id: "broken",
    path: "/broken",
    loader: cached({ name: "broken" }, async (): Promise<never> => {
      throw counted(new Error("database down"));
    }),
  },
]);

async function ask(path: string, cookie?: string, signal?: AbortSignal): Promise<unknown> {
  const headers = cookie === undefined ? {} : { cookie };
  const request = new Request(`http://site.example${path}`, { headers, ...(signal && { signal }) });
  const answer: unknown = await queryRoute(request).catch((error: unknown) => {
    if (error instanceof Response) return error;
    throw error;
  });
  if (!(answer instanceof Response)) return answer;
  const fields = { location: answer.headers.get("location"), cookie: answer.headers.get("set-cookie") };
  return { status: answer.status, ...fields, text: await answer.text() };
}

let slow: Promise<unknown> | undefined;
let visit: AbortController | undefined;
let release: (() => void) | undefined;

export const handlers = {
  ask,
  /** As a write to the database, which both processes see. */
  setName: (given: string) => void (name = given),
  invalidate: (...tags: string[]) => results.invalidateTags(tags),
  /** How often a loader has run since the last call of this. */
  runs: () => {
    const count = runs;
    runs = 0;
    return count;
  },
  /** Begins a page that ends with `release`; resolves once its loader has read. */
  async begin(path: string): Promise<void> {
    const reading = new Promise<void>((resolve) => (begun = resolve));
    const { promise, resolve } = Promise.withResolvers<void>();
    hold = promise;
    visit = new AbortController();
    slow = ask(path, undefined, visit.signal);
    slow.catch(() => undefined);
    release = resolve;
    await reading;
    hold = undefined;
  },
  /** The visitor of `begin` leaves. */
  leave: () => visit?.abort(),
  async release(): Promise<unknown> {
    release?.();
    return slow;
  },
  close: () => cache.close(),
};

answerCalls(handlers);
