import type { Redis } from "@hotset/redis-toolkit";
import type { Sessions } from "@hotset/redis-toolkit/sessions";
import { isNightly, randomPrefix } from "@hotset/test-servers";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startServers } from "./servers.ts";
import { playHistory, randomOf, type Send, type Shop } from "./session-histories.ts";
import { FRAMEWORKS, logIn, STORES, userOf } from "./session-sites.ts";

const servers = startServers();

const cookieOf = ([header]: readonly string[]): string | undefined => header?.split(";")[0];

describe.each(["hashes", "JSON"] as const)("A99: the id of a request, over sessions as %s", (store) => {
  describe.each(Object.entries(FRAMEWORKS))("in %s", (_name, start) => {
    let auth: Sessions<Shop>;
    let send: Send;
    let redis: Redis;
    const open = async (idle: number): Promise<void> => {
      auth = STORES[store](redis, `${randomPrefix().replaceAll(/[^A-Za-z0-9]/g, "")}:`, idle);
      send = await start(auth);
    };
    beforeAll(async () => {
      redis = await servers.open("one server");
    });
    beforeEach(() => open(86_400_000));
    const begin = async (): Promise<string> => cookieOf(await send(undefined, async (s) => s.set("seen", 1)))!;
    const read = async (cookie: string | undefined): Promise<Partial<Shop> & { userId: string | undefined }> => {
      let seen: Partial<Shop> & { userId: string | undefined } = { userId: undefined };
      await send(cookie, async (s) => void (seen = { ...s.data, userId: userOf(store, s) }));
      return seen;
    };
    const dataOf = async (cookie: string | undefined): Promise<number | undefined> => (await read(cookie)).seen;
    const move = (cookie: string, grace: number): Promise<string> =>
      send(cookie, (s) => s.regenerate({ grace })).then((headers) => cookieOf(headers)!);
    const end = (cookie: string): Promise<unknown> => send(cookie, (s) => s.destroy());

    /** What happens to the id of a request, at its begin or while it runs; and where the session is then. */
    const STATES: Readonly<Record<string, (cookie: string) => Promise<string | undefined>>> = {
      live: async (cookie) => cookie,
      moved: (cookie) => move(cookie, 60_000),
      late: (cookie) => move(cookie, 0),
      ended: async (cookie) => void (await end(cookie)),
    };
    const REACHED = ["live", "moved"];

    it.each(Object.entries(STATES))("that is %s at its begin", async (state, change) => {
      const old = await begin();
      const now = await change(old);
      expect(await dataOf(old)).toBe(REACHED.includes(state) ? 1 : undefined);
      const set = await send(old, async (s) => s.set("seen", 2));
      // Nobody but an id without a session begins one.
      expect(set.length).toBe(state === "ended" ? 1 : 0);
      if (state === "ended") expect(cookieOf(set)).not.toBe(old);
      if (now !== undefined) expect(await dataOf(now)).toBe(REACHED.includes(state) ? 2 : 1);
      if (state === "moved") expect(await send(old, (s) => s.regenerate({}))).toEqual([]);
      if (now !== undefined) {
        await end(old);
        expect(await dataOf(now)).toBe(undefined);
      }
    });

    it.each(Object.entries(STATES))("that is %s at its end, when it writes", async (state, change) => {
      const old = await begin();
      let now: string | undefined;
      const set = await send(old, async (s) => {
        now = await change(old);
        s.set("seen", 2);
      });
      expect(set).toEqual([]);
      if (now !== undefined) expect(await dataOf(now)).toBe(REACHED.includes(state) ? 2 : 1);
      if (state === "ended") expect(await dataOf(old)).toBe(undefined);
    });

    it.each(Object.entries(STATES))("that is %s at its end, when its cookie is renewed", async (state, change) => {
      await open(10_000);
      const old = await begin();
      await expect
        .poll(async () => (await auth.touch(old.slice(4)))?.isRenewed, { interval: 200, timeout: 20_000 })
        .toBe(true);
      let set: readonly string[] = [];
      await expect
        .poll(
          async () => {
            let isOver = false;
            set = await send(old, async () => {
              // Only of a request whose cookie is to be renewed.
              isOver = state === "live" || (await change(old)) !== old;
            });
            return isOver && (state !== "live" || set.length > 0);
          },
          { interval: 1_100, timeout: 20_000 },
        )
        .toBe(true);
      expect(set.map((header) => header.split(";")[0])).toEqual(state === "live" ? [old] : []);
    });

    it.each(Object.entries(STATES))("that is %s at its end, when it takes a new id", async (state, change) => {
      const old = await begin();
      let now: string | undefined;
      const set = await send(old, async (s) => {
        now = await change(old);
        await s.regenerate({ grace: 60_000 });
        s.set("seen", 2);
      });
      expect(set.length).toBe(state === "live" ? 1 : 0);
      if (state !== "ended")
        expect(await dataOf(state === "live" ? cookieOf(set) : now)).toBe(state === "late" ? 1 : 2);
    });

    it.each(Object.entries(STATES))("that is %s at its end, when it logs in", async (_state, change) => {
      const old = await begin();
      let now: string | undefined;
      const set = await send(old, async (s) => {
        now = await change(old);
        await logIn(store, s, "ada", 60_000);
      });
      if (set.length > 0) expect((await read(cookieOf(set))).userId).toBe("ada");
      // With their user in the data, sessions that have moved need no further id.
      else expect([store, (await read(now)).userId]).toEqual(["JSON", "ada"]);
    });

    it.each(Object.entries(STATES))("that is %s at its end, when it logs out", async (_state, change) => {
      const old = await begin();
      let now: string | undefined;
      const set = await send(old, async (s) => {
        now = await change(old);
        await s.destroy();
      });
      expect(cookieOf(set)).toBe("sid=");
      for (const one of [old, now]) if (one !== undefined) expect(await dataOf(one)).toBe(undefined);
    });

    it("that moved is not sent by the request which moved it, if a login has replaced it meanwhile", async () => {
      const old = await begin();
      let login: readonly string[] = [];
      const rotation = await send(old, async (s) => {
        await s.regenerate({});
        login = await send(old, (other) => logIn(store, other, "ada", 0));
      });
      expect([rotation, (await read(cookieOf(login))).userId]).toEqual([[], "ada"]);
    });

    it("without a session: a login replaces it for all requests that came with it", async () => {
      const old = await begin();
      await auth.destroy(old.slice(4));
      let login: readonly string[] = [];
      const slow = await send(old, async (s) => {
        login = await send(old, (other) => logIn(store, other, "ada", 0));
        s.set("seen", 2);
      });
      expect([slow, (await read(cookieOf(login))).userId]).toEqual([[], "ada"]);
      // Once that has ended, nothing stands in the way of another one.
      await end(cookieOf(login)!);
      expect(await send(old, async (s) => s.set("seen", 3))).toHaveLength(1);
    });

    it.each(["late", "ended"])(
      "that is %s: of two logins with it the one that ends last is sent, and no other",
      async (state) => {
        const old = await begin();
        await STATES[state]!(old);
        let other: readonly string[] = [];
        const first = await send(old, async (s) => {
          await logIn(store, s, "ada", 0);
          // Hashes have begun theirs by now, JSON begins it when the answer goes out.
          other = await send(old, (second) => logIn(store, second, "bob", 0));
        });
        const [kept, lost] = store === "hashes" ? [other, first] : [first, other];
        expect((await read(cookieOf(kept))).userId).toBe(store === "hashes" ? "bob" : "ada");
        if (store === "hashes") expect(lost).toEqual([]);
        else expect((await read(cookieOf(lost))).userId).toBeUndefined();
      },
    );

    it("that moved on, and cannot be reached any more, ends no login", async () => {
      const old = cookieOf(await send(undefined, (s) => logIn(store, s, "cleo", 0)))!;
      let login: readonly string[] = [];
      const slow = await send(old, async (s) => {
        const moved = cookieOf(await send(old, (second) => logIn(store, second, "bob", 60_000)))!;
        await s.regenerate({});
        login = await send(moved, (third) => logIn(store, third, "ada", 0));
        s.set("seen", 2);
      });
      expect([slow, (await read(cookieOf(login))).userId]).toEqual([[], "ada"]);
    });

    it("of several cookies that is a session counts, and a logout ends each", async () => {
      const [one, other] = [await begin(), await begin()];
      expect(await dataOf(`sid=none; ${one}`)).toBe(1);
      const many = Array.from({ length: 7 }, (_, i) => `sid=none${i}`).join("; ");
      expect([await dataOf(`${many}; ${one}`), await dataOf(`${many}; sid=none7; ${one}`)]).toEqual([1, undefined]);
      await end(`${one}; ${other}`);
      expect([await dataOf(one), await dataOf(other)]).toEqual([undefined, undefined]);
    });

    it("keeps its promise over random histories", async () => {
      await open(3_000);
      const until = performance.now() + Number(process.env["SESSION_HISTORIES_MS"] ?? (isNightly ? 60_000 : 4_000));
      let played = 0;
      const play = async (): Promise<readonly string[]> => {
        const seed = (played += 1);
        const site = { send, random: randomOf(seed), idleMs: 3_000 };
        const wrong = await playHistory({
          ...site,
          login: (session, user, grace) => logIn(store, session, user, grace),
          userOf: (session) => userOf(store, session),
        });
        return wrong.map((text) => `${seed}: ${text}`);
      };
      const wrong: string[] = [];
      while (performance.now() < until && wrong.length === 0)
        wrong.push(...(await Promise.all(Array.from({ length: 20 }, play))).flat());
      expect(wrong).toEqual([]);
      expect(played).toBeGreaterThan(10);
    }, 700_000);
  });
});
