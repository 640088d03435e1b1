import { setTimeout as sleep } from "node:timers/promises";
import type { Project } from "../newcomer/project.ts";
import { outages, Pair, same, servePair, WARM, warmCosts } from "./workshop.ts";
import type { Row, Scenarios, Workshop } from "./workshop.ts";

/** Nest and what belongs to each of its versions. Nest 12 is ESM, applications of the others are CommonJS. */
const VERSIONS = {
  10: { nest: "10.4.22", manager: "3.1.3", terminus: "10.3.0", type: "commonjs" },
  11: { nest: "11.2.10", manager: "3.1.3", terminus: "11.1.1", type: "commonjs" },
  12: { nest: "12.5.1", manager: "12.0.0", terminus: "12.1.0", type: "module" },
};

/** An application of each version in two processes, with our interceptor and with that of @nestjs/cache-manager. */
export async function nest(workshop: Workshop): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const [major, version] of Object.entries(VERSIONS)) {
    const app = await application(workshop, version);
    const [ours, theirs] = [await run(workshop, app, major, "hotset"), await run(workshop, app, major, "manager")];
    rows.push({
      adapter: rows.length === 0 ? "`@hotset/nest`" : "",
      suite: `an application of Nest ${version.nest}, two processes`,
      ours,
      today: `\`CacheInterceptor\` ${version.manager} over \`@keyv/redis\`: ${theirs}`,
    });
  }
  return rows;
}

async function application(
  { project }: Workshop,
  { nest: version, manager, terminus, type }: (typeof VERSIONS)[10],
): Promise<Project> {
  const made = await project("nest", {
    type,
    dependencies: {
      ...{ "@nestjs/common": version, "@nestjs/core": version, "@nestjs/platform-express": version },
      ...{ "@nestjs/cache-manager": manager, "@nestjs/terminus": terminus, "@hotset/nest": "latest", hotset: "latest" },
      ...{ "cache-manager": "7.2.9", keyv: "5.6.0", "@keyv/redis": "5.1.6", "reflect-metadata": "0.2.2" },
      ...{ rxjs: "7.8.2", typescript: "5.9.3", "@types/node": "22.19.1" },
    },
  });
  made.write("main.ts", MAIN);
  await made.run("npx", ["tsc", ...STRICTLY, "main.ts"]);
  return made;
}

const STRICTLY = [
  ...["--strict", "--skipLibCheck", "--target", "es2022", "--module", "nodenext"],
  ...["--experimentalDecorators", "--emitDecoratorMetadata"],
];

const MAIN = `import "reflect-metadata";
import { setTimeout as sleep } from "node:timers/promises";
import { CACHE_MANAGER, CacheInterceptor, CacheModule, CacheTTL } from "@nestjs/cache-manager";
import { Controller, Get, Inject, Injectable, Module, Optional, Param, Res, UseInterceptors } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { HealthCheck, HealthCheckService, TerminusModule } from "@nestjs/terminus";
import { CacheTags, HotsetHealthIndicator, HotsetInterceptor, HotsetModule, InjectCache } from "@hotset/nest";
import KeyvRedis from "@keyv/redis";
import { type Cache, createCache, memory, redis } from "hotset";

const url = process.env.REDIS_URL!;
const isOurs = process.env.DRIVER === "hotset";
interface Response { setHeader(name: string, value: string): void }

@Injectable()
class Prefixed extends HotsetInterceptor {
  protected override trackBy(context: Parameters<HotsetInterceptor["intercept"]>[0]) {
    return super.trackBy(context);
  }
}

@Controller()
class Pages {
  runs = 0;
  constructor(
    @Optional() @InjectCache() readonly cache: Cache,
    @Optional() @Inject(CACHE_MANAGER) readonly manager: { clear(): Promise<unknown> },
  ) {}

  @Get("up")
  up() {
    return {};
  }

  @Get("page/:id")
  @CacheTTL(60_000)
  @CacheTags("pages")
  @UseInterceptors(isOurs ? Prefixed : CacheInterceptor)
  async page(@Param("id") id: string) {
    await sleep(100);
    return { id, from: process.env.FROM, runs: (this.runs += 1) };
  }

  @Get("cookie/:id")
  @UseInterceptors(isOurs ? HotsetInterceptor : CacheInterceptor)
  cookie(@Res({ passthrough: true }) response: Response) {
    response.setHeader("Set-Cookie", "visitor=" + (this.runs += 1));
    return { visitor: this.runs, from: process.env.FROM };
  }

  @Get("clear")
  async clear() {
    await (isOurs ? this.cache.invalidateTags("pages") : this.manager.clear());
    return {};
  }
}

@Controller("health")
class Health {
  constructor(
    @Inject(HealthCheckService) readonly checks: HealthCheckService,
    @Optional() @Inject(HotsetHealthIndicator) readonly hotset: HotsetHealthIndicator,
  ) {}

  @Get()
  @HealthCheck()
  check() {
    return this.checks.check([() => this.hotset.isHealthy() as never]);
  }
}

const build = () =>
  createCache({ name: "nest" }).tier(memory()).tier(redis(url).build()).defaults({ ttl: "1m" }).build();
const ours = HotsetModule.forRootAsync({ useFactory: () => ({ build }) });
const theirs = CacheModule.register({ isGlobal: true, ttl: 60_000, stores: [new KeyvRedis(url) as never] });

@Module({ imports: [isOurs ? ours : theirs, TerminusModule.forRoot({ logger: false })], controllers: [Pages, Health] })
class Application {}

async function main() {
  const app = await NestFactory.create(Application, { logger: ["error"] });
  app.enableShutdownHooks(["SIGTERM"]);
  await app.listen(Number(process.env.PORT), "127.0.0.1");
}
void main();
`;

interface Page {
  readonly from: string;
}

async function run(workshop: Workshop, app: Project, major: string, driver: "hotset" | "manager"): Promise<string> {
  const { redis } = workshop;
  await using pair = await servePair(redis, app, ["main.js"], { DRIVER: driver });
  const { a, b } = pair.servers;
  const isOurs = driver === "hotset";
  const title = `Nest ${major}, ${isOurs ? "HotsetInterceptor" : "CacheInterceptor"}`;
  const scenarios: Scenarios = {
    "a page of A is the page of B": async () => {
      const page = await pair.a("page/1");
      // CacheInterceptor answers before it has stored.
      await sleep(300);
      same(await pair.b("page/1"), page);
    },
    [WARM]: () => warmCosts(redis, () => pair.a("page/1")),
    "40 requests for a cold page, over both, are one run": async () => same(await pair.answersOfForty("page/cold"), 1),
    "an answer that sets a cookie is of one visitor": async () => {
      const first = await pair.a<Page>("cookie/1");
      if ((await pair.b<Page>("cookie/1")).from === first.from) throw new Error("the answer of another visitor");
    },
    "cleared on A, new on B": () => pair.ends("page/1", "clear"),
    ...outages(pair, redis),
    "ends within a second of SIGTERM": async () => {
      await sleep(500);
      same(await a.ends(1_000), true);
    },
  };
  const result = await workshop.count(title, scenarios, isOurs);
  // Terminus 10 takes no answer for a failure, only an error.
  if (isOurs && major !== "10") await workshop.count(`${title}, Terminus`, health(new Pair(b, b), redis), true);
  return result;
}

const health = (pair: Pair, redis: Workshop["redis"]): Scenarios => ({
  "200 while Redis answers": async () => void (await pair.a("health")),
  "503 while it does not": async () => {
    redis.pause();
    const refused = await pair.a("health").then(
      () => "200",
      (error: unknown) => String((error as Error).message),
    );
    redis.resume();
    if (!refused.startsWith("503") || !refused.includes('"redis":"down"')) throw new Error(refused);
  },
});
