import { cpSync, existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Project } from "../newcomer/project.ts";
import { ask, both, hasCleanLogs, type Origin, stored, STORED_MS } from "./next-pages.ts";
import { Pair, same, serve, type Scenarios, type Server, type Workshop } from "./workshop.ts";

export const NEXT = "node_modules/next/dist/bin/next";

/** The second build. Its server needs nothing but one folder. */
export const SECOND = { DIST: ".second", BUILD: "second", STANDALONE: "1" };

/**
 * Two builds of the application side by side, as while a new one is rolled out, the second one standalone; tiers of
 * one's own; `next dev`; and the memory of a process that serves many pages.
 */
export async function deployments(workshop: Workshop, origin: Origin, app: Project, byPnpm: Project): Promise<string> {
  const { redis } = workshop;
  await redis.command("FLUSHALL");
  const standalone = ".second/standalone";
  cpSync(join(app.folder, "public"), join(app.folder, standalone, "public"), { recursive: true });
  cpSync(join(app.folder, ".second/static"), join(app.folder, standalone, ".second/static"), { recursive: true });
  const start = (parameters: readonly string[], from: string, more: NodeJS.ProcessEnv = {}): Promise<Server> =>
    serve(app, ["--expose-gc", ...parameters], {
      ...{ NODE_ENV: "production", REDIS_URL: redis.url, ORIGIN: origin.url, FROM: from },
      ...more,
    });
  await using first = await start([NEXT, "start"], "first");
  await using second = await start([`${standalone}/server.js`], "second");
  await using third = await start([`${standalone}/server.js`], "third");
  await using own = await start([NEXT, "start"], "own", { HANDLER: "own" });
  await using other = await start([NEXT, "start"], "other", { HANDLER: "own" });
  const scenarios: Scenarios = {
    "a value of one standalone process is that of another": async () => {
      await stored({ pair: new Pair(second, third) }, "page/1");
    },
    "tiers of one's own: a value of A is the value of B": async () => {
      await stored({ pair: new Pair(own, other) }, "page/1");
    },
    "an image of one build is that of the other": async () => {
      const path = "_next/image?url=%2Fdot.png&w=64&q=75";
      const [made, found] = await both(first, second, path);
      same([made.status, made.cache, found.status, found.cache], [200, "MISS", 200, "HIT"]);
      same(found.text, made.text);
    },
    ...Object.fromEntries(
      ["static", "ppr/1", "ppr/2", "act/1"].map((path) => [
        `two builds: /${path} has no script of the other, also after it is invalidated in one`,
        async () => {
          for (let round = 0; round < 3; round += 1) {
            for (const server of [first, second, third, first]) {
              await isOfBuild(app, server, path, server === first ? "first" : "second");
              await sleep(STORED_MS / 10);
            }
            await ask(round === 0 ? first : second, `revalidate?path=/${path}`);
            await sleep(STORED_MS);
          }
        },
      ]),
    ),
    "the heap does not grow with revalidations": () => doesNotGrow(first),
    "nothing but warnings in the logs": async () => hasCleanLogs([first, second, third, own, other]),
    "installed by pnpm: both entries are found, and the build answers": async () => {
      for (const entry of ["@hotset/next/isr", "@hotset/next/use-cache"])
        for (const load of ["require", "await import"])
          await byPnpm.run("node", ["-e", `(async () => Object.keys((${load}("${entry}")).default))()`]);
      await using server = await serve(byPnpm, [NEXT, "start"], { NODE_ENV: "production", REDIS_URL: redis.url });
      const { status, text } = await ask(server, "page/pnpm");
      await sleep(STORED_MS);
      same([status, (await ask(server, "page/pnpm")).text], [200, text]);
    },
    "next dev: pages are answered, and new after a revalidation": async () => {
      await using dev = await start([NEXT, "dev"], "dev", { NODE_ENV: "development" });
      // It compiles first.
      const get = (path: string) => ask(dev, path, { signal: AbortSignal.timeout(60_000) });
      const old = await get("page/dev");
      same([old.status, (await get("ppr/dev")).status], [200, 200]);
      same((await get("page/dev")).text, old.text);
      await get("revalidate?tag=t-dev&expire=0");
      await sleep(STORED_MS);
      if ((await get("page/dev")).text === old.text) throw new Error("still the old one");
      hasCleanLogs([dev]);
      await dev.ends(10_000);
    },
  };
  // Awaited before the processes end.
  const result = await workshop.count("Next 16, deployments", scenarios, true);
  return result;
}

/** The page shows its build, and each of its scripts is a file of it. */
async function isOfBuild(app: Project, server: Server, path: string, build: "first" | "second"): Promise<void> {
  const { status, text } = await ask(server, path);
  same([status, /<b>(\w+)<\/b>/.exec(text)?.[1]], [200, build]);
  const scripts = new Set(text.match(/(?<=\/_next\/)static\/[^"'\\?]+\.js/g));
  const folder = join(app.folder, build === "first" ? ".next" : ".second");
  const foreign = [...scripts].filter((script) => !existsSync(join(folder, script)));
  if (scripts.size === 0 || foreign.length > 0)
    throw new Error(`${scripts.size} scripts, foreign: ${foreign.join(" ")}`);
}

/** Rounds of requests for the same pages, each of which is then invalidated. */
async function doesNotGrow(server: Server): Promise<void> {
  const path = (i: number): string => `${i % 2 === 0 ? "page" : "ppr"}/heap-${i % 50}`;
  const round = async (): Promise<number> => {
    for (let i = 0; i < 200; i += 1) {
      await ask(server, path(i));
      if (i % 50 === 49) await ask(server, `revalidate?path=/${path(i % 7)}`);
    }
    return Number((await ask(server, "heap")).text);
  };
  for (let i = 0; i < 3; i += 1) await round();
  const before = await round();
  for (let i = 0; i < ROUNDS; i += 1) await round();
  const grown = (await round()) - before;
  if (grown > 8e6) throw new Error(`${Math.round(grown / 1e6)} MB in ${ROUNDS * 200} requests`);
}
/** `ADAPTERS_ROUNDS=900` takes some half an hour. */
const ROUNDS = Number(process.env["ADAPTERS_ROUNDS"] ?? 15);
