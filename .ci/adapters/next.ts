import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { Project } from "../newcomer/project.ts";
import { CONFIGS, DOT, ISR, USE_CACHE, USE_CACHE_15, type Files, type Handler } from "./next-app.ts";
import { deployments, NEXT, SECOND } from "./next-deployments.ts";
import { Origin, type Running } from "./next-pages.ts";
import { isrScenarios, useCacheScenarios } from "./next-scenarios.ts";
import { Pair, serve } from "./workshop.ts";
import type { Row, Scenarios, Server, Workshop } from "./workshop.ts";

const TURBO = "1.18.0";
const PACKAGES = { fortedigital: "@fortedigital/nextjs-cache-handler", turbo: "@trieb.work/nextjs-turbo-redis-cache" };
const VERSIONS = {
  16: { next: "16.4.6", fortedigital: "3.3.0", turbo: TURBO },
  15: { next: "15.5.29", fortedigital: "2.5.3", turbo: TURBO },
};

/** An application of each version in two processes, with our handlers and with those that people use today. */
export async function next(workshop: Workshop): Promise<readonly Row[]> {
  await using origin = await Origin.start();
  const rows: Row[] = [];
  let deployed = "";
  for (const each of APPLICATIONS) {
    const { what, major, theirs, files } = each;
    const app = await application(workshop, each);
    const results: string[] = [];
    for (const handler of ["hotset", ...theirs] as const) results.push(await run(workshop, origin, app, handler, each));
    const [ours, ...today] = results;
    if (files === USE_CACHE) {
      await build(app, SECOND);
      deployed = await deployments(workshop, origin, app, await application(workshop, { ...each, installer: "pnpm" }));
    }
    rows.push({
      adapter: rows.length === 0 ? "`@hotset/next`" : "",
      suite: `${what} of Next ${VERSIONS[major].next}, two processes`,
      ours: ours!,
      today: theirs.map((handler, i) => `\`${PACKAGES[handler]}\` ${VERSIONS[major][handler]}: ${today[i]}`).join("; "),
    });
  }
  const suite = `two builds of Next ${VERSIONS[16].next} side by side; standalone; images; memory; pnpm; \`next dev\``;
  return [...rows, { adapter: "", suite, ours: deployed, today: "not run" }];
}

interface Application {
  readonly what: "pages" | "`use cache`";
  readonly major: keyof typeof VERSIONS;
  readonly files: Files;
  readonly scenarios: (running: Running) => Scenarios;
  readonly theirs: readonly Exclude<Handler, "hotset">[];
  readonly installer?: "pnpm";
}
const APPLICATIONS: readonly Application[] = [
  { what: "pages", major: 16, files: ISR, scenarios: isrScenarios, theirs: ["fortedigital", "turbo"] },
  { what: "`use cache`", major: 16, files: USE_CACHE, scenarios: useCacheScenarios, theirs: ["turbo"] },
  { what: "pages", major: 15, files: ISR, scenarios: isrScenarios, theirs: ["fortedigital"] },
  { what: "`use cache`", major: 15, files: USE_CACHE_15, scenarios: useCacheScenarios, theirs: ["turbo"] },
];

async function application({ project }: Workshop, { what, major, files, installer }: Application): Promise<Project> {
  const { next: version, fortedigital } = VERSIONS[major];
  const dependencies = {
    ...{ next: version, react: "19.3.1", "react-dom": "19.3.1", "@hotset/next": "latest", hotset: "latest" },
    ...{ "@fortedigital/nextjs-cache-handler": fortedigital, "@redis/client": "5.12.1", ioredis: "5.9.3" },
    ...{ "@trieb.work/nextjs-turbo-redis-cache": TURBO, redis: "4.7.0" },
  };
  const made = await project(`next-${major}`, { dependencies }, installer);
  for (const [name, text] of Object.entries({ ...files, "next.config.mjs": CONFIGS[major][what] }))
    made.write(name, text);
  mkdirSync(join(made.folder, "public"), { recursive: true });
  writeFileSync(join(made.folder, "public/dot.png"), DOT);
  await build(made);
  return made;
}

/** With a Redis that refuses, and counts, connections. */
async function build(app: Project, environment: NodeJS.ProcessEnv = {}): Promise<void> {
  let connections = 0;
  const server = createServer();
  server.on("connection", () => (connections += 1));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `redis://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await app.run("node", [NEXT, "build"], {
    NEXT_TELEMETRY_DISABLED: "1",
    REDIS_URL: url,
    FROM: "build",
    ...environment,
  });
  server.close();
  if (connections > 0) throw new Error(`the build opened ${connections} connections`);
}

async function run(
  workshop: Workshop,
  origin: Origin,
  app: Project,
  handler: Handler,
  { what, major, scenarios: scenariosOf }: Application,
): Promise<string> {
  const { redis } = workshop;
  await redis.command("FLUSHALL");
  const environment = {
    NODE_ENV: "production",
    REDIS_URL: redis.url,
    HANDLER: handler,
    ORIGIN: origin.url,
    VERCEL_ENV: "production",
  };
  const start = (from: string): Promise<Server> =>
    serve(app, ["--expose-gc", NEXT, "start"], { ...environment, FROM: from });
  await using a = await start("a");
  await using b = await start("b");
  const all = Object.entries(scenariosOf({ a, b, pair: new Pair(a, b), redis, origin }));
  // 15.5 has no profiles: a tag ends pages at once.
  const scenarios = Object.fromEntries(all.filter(([name]) => major === 16 || !name.includes("stale by tag")));
  // Awaited before the processes end.
  const result = await workshop.count(`Next ${major}, ${what}, ${handler}`, scenarios, handler === "hotset");
  return result;
}
