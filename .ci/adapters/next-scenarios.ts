import { setTimeout as sleep } from "node:timers/promises";
import type { Answer, Made, Running } from "./next-pages.ts";
import { ask, hasCleanLogs, both, isNew, isOldOnce, isShared, revalidate, stored, STORED_MS } from "./next-pages.ts";
import { outages, same, WARM, warmCosts, type Scenarios, type Server } from "./workshop.ts";

export function isrScenarios(running: Running): Scenarios {
  const { a, b, pair, redis, origin } = running;
  return {
    "a page of the build answers the first request": async () => {
      const [first, second] = [await ask(a, "built/1"), await ask(b, "built/1")];
      same([first.made?.from, first.cache, second.made?.from], ["build", "HIT", "build"]);
    },
    "a page of the build, invalidated on A before anyone asked for it": async () => {
      await revalidate(running, "path=/built/2");
      const [found, again] = await both(b, a, "built/2");
      same([found.made?.from, again.made?.from], ["b", "b"]);
    },
    "a page": () => isShared(running, "html/1"),
    "the data of a page": async () => {
      const [first, second] = await both(a, b, "html/1", { headers: { RSC: "1" } });
      same([first.status, first.text === second.text, /"id":"1"|"id\\?":/.test(second.text)], [200, true, true]);
    },
    "a route handler": () => isShared(running, "page/1"),
    "a page of pages/": () => isShared(running, "legacy/1"),
    "a page that is not found": () => isShared(running, "lost/1", 404),
    "one of pages/ that is not found": async () => {
      const before = origin.asked("gone");
      const [first, second] = await both(a, b, "legacy/gone");
      same([first.status, second.status], [404, 404]);
      same(origin.asked("gone") - before, 1);
    },
    [WARM]: () => warmCosts(redis, () => pair.a("page/1")),
    "a page, by tag": async () => {
      const [old] = await both(a, b, "html/2");
      await revalidate(running, "tag=t-2&expire=0");
      const [found, again] = await both(b, a, "html/2");
      if (found.made?.n === old.made?.n) throw new Error("still the old one");
      same(again.made, found.made);
    },
    "a route handler, by tag": () => isNew(running, "page/2", "tag=t-2&expire=0"),
    "a page, stale by tag (max)": async () => {
      const [old] = await both(a, b, "html/3");
      await revalidate(running, "tag=t-3&expire=max");
      same((await ask(b, "html/3")).made, old.made);
      for (const end = performance.now() + 5_000; (await ask(b, "html/3")).made?.n === old.made?.n; await sleep(50))
        if (performance.now() > end) throw new Error("still the old one");
    },
    "a route handler, stale by tag (max)": () => isOldOnce(running, "page/3", "tag=t-3&expire=max"),
    "a page, by path": async () => {
      const [old] = await both(a, b, "html/4");
      await revalidate(running, "path=/html/4");
      const found = await ask(b, "html/4");
      same([found.made?.from, old.made?.from, found.made?.n === old.made?.n], ["b", "a", false]);
    },
    "a route handler, by path": () => isNew(running, "page/4", "path=/page/4"),
    "stale by tag, with an end that has come": () => isEnded(running, 5),
    "by a tag that only the second reader of a fetch names": async () => {
      const old = await pair.a<Made>("page/6");
      same((await pair.a<Made>("reader/6")).n, old.n);
      await revalidate(running, "tag=reader-6&expire=0");
      const found = await pair.b<Made>("reader/6");
      if (found.n === old.n) throw new Error("still the old data");
    },
    // B asks for the first time: 15.5 takes a page that it did not make as fresh for a second.
    "an old page is refreshed (revalidate)": () => pair.refreshes("short/1", 6_500),
    "a render on A that an invalidation on B crossed": () => isCrossed(running, "crossed"),
    "a page with 111 tags": () => isShared(running, "tagged/1"),
    "a page with 111 tags, by one of them": () => isNew(running, "tagged/2", `tag=110-2-${"x".repeat(80)}&expire=0`),
    ...outages(pair, redis),
    "Redis frozen: invalidated on A, new on B once it is back": () => isFrozen(running, 8),
    "Redis killed: what A invalidates is new on A": async () => {
      const old = await pair.a<Made>("page/10");
      await redis.kill();
      let found: Made;
      try {
        await revalidate(running, "tag=t-10&expire=0");
        found = await pair.a<Made>("page/10");
      } finally {
        await redis.start();
      }
      if (found.n === old.n) throw new Error("still the old one");
      await pair.agree("page/10", old);
    },
    "Redis full: pages are answered, and what A invalidates is new on B": async () => {
      const old = await stored(running, "page/11");
      await redis.command("CONFIG", "SET", "maxmemory", "1");
      let found: Made;
      try {
        await pair.a("page/12");
        await revalidate(running, "tag=t-11&expire=0");
        found = await pair.a<Made>("page/11");
      } finally {
        await redis.command("CONFIG", "SET", "maxmemory", "0");
      }
      if (found.n === old.n) throw new Error("still the old one");
      await pair.agree("page/11", old);
    },
    "nothing but warnings in the logs": async () => hasCleanLogs([a, b]),
    "ends within three seconds of SIGTERM": async () => same(await a.ends(3_000), true),
  };
}

export function useCacheScenarios(running: Running): Scenarios {
  const { a, b, pair, redis } = running;
  const shared = async (path: string): Promise<void> => void (await stored(running, path));
  const sharedPage = async (path: string): Promise<void> => {
    const { made } = await ask(a, path);
    await sleep(STORED_MS);
    same((await ask(b, path)).made, made);
  };
  return {
    "a value of A is the value of B": () => shared("page/1"),
    "so is a remote one": () => shared("remote/1"),
    [WARM]: () => warmCosts(redis, () => pair.a("page/1")),
    "by tag": () => isNew(running, "page/2", "tag=t-2&expire=0"),
    "a remote one, by tag": () => isNew(running, "remote/2", "tag=t-2&expire=0"),
    "stale by tag (max)": () => isOldOnce(running, "page/3", "tag=t-3&expire=max"),
    "stale by tag, with an end that has come": () => isEnded(running, 4),
    "by path": () => isNew(running, "page/5", "path=/page/5"),
    "and cached again after it": async () => {
      const found = await pair.a("page/5");
      for (let i = 0; i < 3; i += 1) same([await pair.a("page/5"), await pair.b("page/5")], [found, found]);
    },
    "a value that pages share is made once for all of them": async () => {
      const value = await stored(running, "page/6");
      same((await ask(b, "ppr/6")).made, value);
    },
    "an old one is refreshed (cacheLife)": async () => {
      const old = await stored(running, "short/1");
      await sleep(6_500);
      same(await pair.b("short/1"), old);
      await sleep(500);
      await pair.agree("short/1", old);
    },
    "5 MB": () => shared("big/1"),
    "5 MB, three at once": async () => {
      const first = await pair.b("big/1");
      same(await Promise.all([pair.b("big/1"), pair.b("big/1"), pair.b("big/1")]), [first, first, first]);
    },
    "made on A while B invalidates": () => isCrossed(running, "crossed-use"),
    "a page with a hole": () => sharedPage("ppr/7"),
    "a static page": () => sharedPage("static"),
    "updateTag in a server action: the own answer is new": async () => {
      await sharedPage("act/8");
      const old = await ask(a, "act/8");
      const answer = await act(a, old);
      if (answer.made === undefined || answer.made.n === old.made?.n) throw new Error("the old one");
    },
    "and so is that of B": () => sharedPage("act/8"),
    ...outages(pair, redis),
    "Redis frozen: invalidated on A, new on B once it is back": () => isFrozen(running, 9),
    "nothing but warnings in the logs": async () => hasCleanLogs([a, b]),
    "ends within three seconds of SIGTERM": async () => same(await a.ends(3_000), true),
  };
}

async function isEnded(running: Running, id: number): Promise<void> {
  const old = await running.pair.a<Made>(`page/${id}`);
  await revalidate(running, `tag=t-${id}&expire=2`);
  await sleep(2_600);
  if ((await running.pair.b<Made>(`page/${id}`)).n === old.n) throw new Error("still the old one");
}

async function isCrossed(running: Running, id: string): Promise<void> {
  const { pair, origin } = running;
  const { asked, release } = origin.hold(id);
  const old = pair.a<Made>(`page/${id}`);
  await asked();
  await revalidate(running, `tag=t-${id}&expire=0`, "b");
  release();
  const { n } = await old;
  await sleep(STORED_MS);
  same((await pair.b<Made>(`page/${id}`)).n, n + 1);
  await sleep(STORED_MS);
  same((await pair.a<Made>(`page/${id}`)).n, n + 1);
}

async function isFrozen(running: Running, id: number): Promise<void> {
  const { pair, redis } = running;
  const old = await stored(running, `page/${id}`);
  redis.pause();
  try {
    await revalidate(running, `tag=t-${id}&expire=0`);
    await pair.a("page/9");
  } finally {
    redis.resume();
  }
  await pair.agree(`page/${id}`, old);
}

/** Sends the form of a page, as a browser without scripts does. */
async function act(server: Server, page: Answer): Promise<Answer> {
  const body = new FormData();
  for (const [input] of page.text.matchAll(/<input[^>]*>/g)) {
    const [name, value = ""] = ["name", "value"].map((field) => new RegExp(`\\b${field}="([^"]*)"`).exec(input)?.[1]);
    if (name !== undefined) body.append(name, value);
  }
  return ask(server, `act/${page.made?.id}`, { method: "POST", body });
}
