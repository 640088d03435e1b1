import { createRedis } from "@hotset/redis-toolkit";
import { SessionStore } from "@hotset/redis-toolkit/sessions/express-session";
import { RedisStore } from "connect-redis";
import { createClient } from "redis";
import { inFlight, type Scenario } from "../measure.ts";
import { commandFigures } from "../server-figures.ts";
import type { Conditions, Figure, Trial } from "../trial.ts";

type Store = Pick<SessionStore, "get" | "set" | "touch" | "destroy" | "createSession">;
type SessionData = Parameters<Store["set"]>[1];

const SESSIONS = 2_000;
const LIMIT = 50;
const OPERATIONS = 10_000;
const RACES = 500;

const sidOf = (i: number): string => `${String(i % SESSIONS).padStart(6, "0")}abcdefghijklmnopqrstuvwxyz`;

/** Some 500 bytes of JSON, as of a shop. */
const newSession = (): SessionData =>
  ({
    cookie: { originalMaxAge: 86_400_000, expires: new Date(Date.now() + 86_400_000), httpOnly: true, path: "/" },
    user: { id: 7, name: "Ada Lovelace", roles: ["customer", "author"] },
    cart: Array.from({ length: 8 }, (_, i) => ({ sku: `sku-${i}`, count: i })),
    theme: "dark",
    views: 0,
  }) as unknown as SessionData;

interface Contenders {
  readonly theirs: Store;
  readonly ours: Store;
  close(): Promise<unknown>;
}

async function open(url: string): Promise<Contenders> {
  const client = await createClient({ url }).connect();
  const redis = createRedis({ url, env: false });
  const [theirs, ours] = [new RedisStore({ client }) as Store, new SessionStore(redis)];
  for (const store of [theirs, ours]) await inFlight(LIMIT, SESSIONS, (i) => store.set(sidOf(i), newSession()));
  return { theirs, ours, close: () => Promise.all([client.close(), redis.disconnect()]) };
}

/** As express-session does at the begin of a request. */
async function begin(store: Store, sid: string): Promise<SessionData> {
  const data = await store.get(sid);
  return store.createSession({ sessionID: sid, sessionStore: store } as never, data!);
}

type Work = (store: Store, i: number) => Promise<unknown>;

const WORK: Readonly<Record<string, Work>> = {
  "a request that reads": async (store, i) => {
    const session = await begin(store, sidOf(i));
    (session as unknown as { touch(): void }).touch();
    await store.touch(sidOf(i), session);
  },
  "a request that changes a field": async (store, i) => {
    const session = await begin(store, sidOf(i));
    Object.assign(session, { views: i + 1 });
    await store.set(sidOf(i), session);
  },
  "a new session": (store, i) => store.set(sidOf(i), newSession()),
};

/** Below 1: "The cost" in docs/guide/toolkit-sessions.md says which guarantee is slower, and by how much. */
const TARGETS: Readonly<Record<string, number>> = {
  "a request that reads": 0.6,
  "a request that changes a field": 0.5,
  "a new session": 0.3,
};

/** The calls that express-session makes, of our store and of connect-redis. */
export async function sessionScenarios(
  url: string,
): Promise<{ readonly scenarios: readonly Scenario[]; close(): Promise<unknown> }> {
  const { theirs, ours, close } = await open(url);
  const scenarios = Object.entries(WORK).map(([name, work]): Scenario => ({
    name: `toolkit sessions, ${name}`,
    raw: { name: "connect-redis", run: (operations) => inFlight(LIMIT, operations, (i) => work(theirs, i)) },
    hotset: { name: "SessionStore", run: (operations) => inFlight(LIMIT, operations, (i) => work(ours, i)) },
    operations: OPERATIONS,
    shows: "speed",
    target: TARGETS[name]!,
  }));
  return { scenarios, close };
}

/** Commands for each operation, and what pairs of requests beside each other lose or bring back. */
export const sessionGuarantees = ({ server, url }: Conditions): Trial => ({
  name: "toolkit sessions, guarantees",
  async run() {
    const { theirs, ours, close } = await open(url);
    const figures: Figure[] = [];
    for (const [name, work] of Object.entries(WORK))
      for (const [side, store] of [
        ["connect-redis", theirs],
        ["hotset", ours],
      ] as const)
        figures.push({ what: `${side}, ${name}`, value: await commandsOf(server, store, work), unit: " commands" });
    for (const [side, store] of [
      ["connect-redis", theirs],
      ["hotset", ours],
    ] as const) {
      const bound = side === "hotset" ? { atMost: 0 } : {};
      figures.push(
        { what: `${side}, changes lost`, value: await lost(store), unit: ` of ${RACES} pairs`, ...bound },
        { what: `${side}, back after a logout`, value: await resurrected(store), unit: ` of ${RACES}`, ...bound },
      );
    }
    await close();
    return figures;
  },
});

async function commandsOf(server: Conditions["server"], store: Store, work: Work): Promise<number> {
  // Commands of clients: scripts call others.
  const sent = ["evalsha", "eval", "hgetall", "get", "set", "expire"];
  const calls = async (): Promise<number> => (await commandFigures(server, sent)).calls;
  const before = await calls();
  for (let i = 0; i < 100; i += 1) await work(store, i);
  return ((await calls()) - before) / 100;
}

async function lost(store: Store): Promise<number> {
  let count = 0;
  for (let i = 0; i < RACES; i += 1) {
    const [one, other] = [await begin(store, sidOf(i)), await begin(store, sidOf(i))];
    Object.assign(one, { theme: `theme ${i}` });
    Object.assign(other, { views: i + 7 });
    await Promise.all([one, other].map((each) => store.set(sidOf(i), each)));
    const found = (await begin(store, sidOf(i))) as unknown as { theme: string; views: number };
    if (found.theme !== `theme ${i}` || found.views !== i + 7) count += 1;
  }
  return count;
}

async function resurrected(store: Store): Promise<number> {
  let count = 0;
  for (let i = 0; i < RACES; i += 1) {
    const late = await begin(store, sidOf(i));
    await store.destroy(sidOf(i));
    Object.assign(late, { views: i + 9 });
    await store.set(sidOf(i), late);
    const found = await store.get(sidOf(i));
    if (found !== null && found !== undefined) count += 1;
  }
  return count;
}
