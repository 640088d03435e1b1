// One process of a small API. The test runs two of them over one Redis.

import { answerCalls } from "@hotset/test-servers";
import { initTRPC, TRPCError } from "@trpc/server";
import { createCache, memory, redis } from "hotset";
import { procedureCache } from "./procedure-cache.ts";

interface Context {
  readonly user?: string;
}
interface User {
  readonly id: number;
}

const cache = createCache({ name: "api" })
  .tier(memory())
  .tier(redis(process.env["REDIS_URL"]!).keyPrefix(process.env["KEY_PREFIX"]!).responseTimeout("15s").build())
  .build();
const t = initTRPC.context<Context>().create();
const { cached, results } = procedureCache(cache);
const user = (input: unknown): User => input as User;

/** Names by id, as the database has them. */
let name = "Ada";
let runs = 0;
let begun: (() => void) | undefined;
let hold: Promise<void> | undefined;

const router = t.router({
  user: t.procedure
    .input(user)
    .use(cached({ ttl: "10m", tags: ({ id }: User) => [`user:${id}`] }))
    .query(async ({ input }) => {
      runs += 1;
      const found = { id: input.id, name };
      begun?.();
      await hold;
      return found;
    }),
  mine: t.procedure.use(cached({ by: ({ user: who }: Context) => who })).query(({ ctx }) => `of ${ctx.user ?? "all"}`),
  nothing: t.procedure.use(cached()).query(() => {
    runs += 1;
  }),
  missing: t.procedure.use(cached()).query(() => {
    runs += 1;
    throw new TRPCError({ code: "NOT_FOUND" });
  }),
  ping: t.procedure.use(cached()).mutation(() => (runs += 1)),
});
const caller = t.createCallerFactory(router);

export const handlers = {
  call: (procedure: "user" | "mine" | "nothing" | "missing" | "ping", input?: User, context: Context = {}) =>
    (caller(context)[procedure] as (given?: User) => Promise<unknown>)(input),
  /** As a write to the database, which both processes see. */
  setName: (given: string) => void (name = given),
  invalidate: (...tags: string[]) => results.invalidateTags(tags),
  /** How often a procedure has run since the last call of this. */
  runs: () => {
    const count = runs;
    runs = 0;
    return count;
  },
  /** Begins a query that ends with `release`; resolves once it has read. */
  async begin(input: User): Promise<void> {
    const reading = new Promise<void>((resolve) => (begun = resolve));
    const { promise, resolve } = Promise.withResolvers<void>();
    hold = promise;
    slow = caller({}).user(input);
    release = resolve;
    await reading;
    hold = undefined;
  },
  async release(): Promise<unknown> {
    release?.();
    return slow;
  },
  close: () => cache.close(),
};
let slow: Promise<unknown> | undefined;
let release: (() => void) | undefined;

answerCalls(handlers);
