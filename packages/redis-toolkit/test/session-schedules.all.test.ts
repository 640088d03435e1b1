import type { Redis } from "@hotset/redis-toolkit";
import type { Session, Sessions } from "@hotset/redis-toolkit/sessions";
import { isNightly, randomPrefix } from "@hotset/test-servers";
import { beforeAll, describe, expect, it } from "vitest";
import { VISITS, type Visit, type Visits } from "../src/sessions/session-visits.ts";
import { Schedule } from "./gated-redis.ts";
import { startServers } from "./servers.ts";
import { playHistory, randomOf, type Act, type Send, type Shop } from "./session-histories.ts";
import { FRAMEWORKS, logIn, STORES, userOf, type Store } from "./session-sites.ts";

const servers = startServers();

/** All cookies of live sessions are to be renewed, as they are a minute later. */
function renewing(auth: Sessions<Shop>): Sessions<Shop> {
  const visits = (auth as unknown as { readonly [VISITS]: Visits<Session<Shop>, unknown> })[VISITS];
  const renewed = (visit: Visit<Session<Shop>>): Visit<Session<Shop>> => {
    if (visit.state !== "live") return visit;
    const session = { ...visit.session, isRenewed: true };
    return { state: "live", session: Object.defineProperty(session, "id", { value: visit.session.id }) };
  };
  const touch = async (id: string): Promise<Visit<Session<Shop>>> => renewed(await visits.touch(id));
  return new Proxy(auth, {
    get: (target, name): unknown => {
      if (name === VISITS) return { ...visits, touch };
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}

const DAY_MS = 86_400_000;
const idOf = (header: string): string => /^sid=([^;]*)/.exec(header)![1]!;

describe.each(["hashes", "JSON"] as Store[])("A99: in any order of the commands, over sessions as %s", (store) => {
  let redis: Redis;
  beforeAll(async () => {
    redis = await servers.open("one server");
  });
  const siteOf = async (
    schedule: Schedule,
    start: (auth: Sessions<Shop>) => Promise<Send>,
  ): Promise<{ readonly auth: Sessions<Shop>; readonly send: Send }> => {
    const prefix = `${randomPrefix().replaceAll(/[^A-Za-z0-9]/g, "")}:`;
    const auth = renewing(STORES[store](schedule.over(redis), prefix, DAY_MS));
    return { auth, send: await start(auth) };
  };
  const userAt = async (send: Send, id: string): Promise<string | undefined> => {
    let user: string | undefined;
    await send(`sid=${id}`, async (s) => void (user = userOf(store, s)));
    return user;
  };

  const ACTS: Readonly<Record<string, (user: string) => Act>> = {
    read: () => async () => undefined,
    write: () => async (s) => s.set("seen", 2),
    rotate: () => (s) => s.regenerate({}),
    "rotate with a grace": () => (s) => s.regenerate({ grace: 60_000 }),
    login: (user) => (s) => logIn(store, s, user, 0),
    "login with a grace": (user) => (s) => logIn(store, s, user, 60_000),
    logout: () => (s) => s.destroy(),
  };
  const names = Object.keys(ACTS);
  const PAIRS = names.flatMap((one, i) => names.slice(i).map((other) => [one, other] as const));
  const isLogin = (name: string): boolean => name.startsWith("login");

  /** What is wrong after two requests at the same time; nothing where all is right. */
  const playPair = async (pair: readonly [string, string], ids: string, seed: number): Promise<readonly string[]> => {
    const schedule = new Schedule(randomOf(seed));
    const { auth, send } = await siteOf(schedule, FRAMEWORKS["Hono"]!);
    const first = idOf((await send(undefined, (s) => logIn(store, s, "cleo", 0)))[0]!);
    let live: string | undefined = first;
    if (ids === "ended") {
      await auth.destroy(first);
      live = undefined;
    } else if (ids !== "live") live = idOf((await send(`sid=${first}`, (s) => s.regenerate({})))[0]!);
    // One may be late already while the other one has the session.
    const given = [first, ids === "late and live" ? live! : first];
    const all = new Set(live === undefined ? [] : [live]);
    let jar = live;
    await schedule.play(() =>
      Promise.all(
        pair.map(async (name, i) => {
          for (const header of await send(`sid=${given[i]}`, ACTS[name]!(["ada", "bob"][i]!))) {
            jar = idOf(header) || undefined;
            if (jar !== undefined) all.add(jar);
          }
        }),
      ),
    );
    const users = new Map<string, string>();
    for (const id of all) {
      const user = await userAt(send, id);
      if (user !== undefined) users.set(id, user);
    }
    const story = `${seed}: ${pair.join(" and ")} with ids that are ${ids}: `;
    const user = jar === undefined ? undefined : users.get(jar);
    const logins = ["ada", "bob"].filter((_, i) => isLogin(pair[i]!));
    if (pair.includes("logout")) {
      // A login at the same time may be the later one of the two.
      if (logins.length > 0 || live === undefined) return [];
      return users.size === 0 ? [] : [`${story}somebody is logged in after the logout`];
    }
    const wanted: readonly (string | undefined)[] =
      logins.length > 0 ? logins : live === undefined ? [undefined] : ["cleo"];
    const wrong = wanted.includes(user) ? [] : [`${story}the browser is logged in as ${user}`];
    if (new Set(users.values()).size > 1) wrong.push(`${story}two users are logged in`);
    return wrong;
  };

  it.each(PAIRS)("%s and %s", { timeout: 300_000 }, async (...pair) => {
    const wrong: string[] = [];
    for (const ids of ["live", "late", "late and live", "ended"])
      for (let seed = 1; seed <= (isNightly ? 200 : 12); seed += 1) wrong.push(...(await playPair(pair, ids, seed)));
    expect(wrong).toEqual([]);
  });

  it.each(Object.entries(FRAMEWORKS))("random histories in %s", { timeout: 700_000 }, async (_name, start) => {
    const until = performance.now() + Number(process.env["SESSION_HISTORIES_MS"] ?? (isNightly ? 60_000 : 4_000));
    const wrong: string[] = [];
    let played = 0;
    for (; performance.now() < until && wrong.length < 3; played += 1) {
      const seed = played;
      const schedule = new Schedule(randomOf(seed + 1_000_000));
      const { send } = await siteOf(schedule, start);
      const site = { send, random: randomOf(seed), idleMs: DAY_MS, graces: [0, 0, 60_000] };
      const found = await schedule.play(() =>
        playHistory({
          ...site,
          pause: () => schedule.step(),
          login: (session, user, grace) => logIn(store, session, user, grace),
          userOf: (session) => userOf(store, session),
        }),
      );
      wrong.push(...found.map((text) => `${seed}: ${text}`));
    }
    expect(wrong).toEqual([]);
    expect(played).toBeGreaterThan(2);
  });
});
