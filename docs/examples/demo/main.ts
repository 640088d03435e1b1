// npm run demo: a service that caches expensive calls in memory over Redis, drives itself for some seconds, and checks
// the results. With --processes: several coherent processes of another service. npm start: the first one, until Ctrl-C.

import { CacheError } from "hotset";
import { once } from "node:events";
import { join } from "node:path";
import { parseArguments, portOf, USAGE, UsageError, type DemoArguments } from "./arguments.ts";
import { findRedis, needRedis, type DemoRedis } from "./demo-redis.ts";
import { drive } from "./drive.ts";
import { PackageCopy } from "./package-copy.ts";
import { checklist, judge, table, whole } from "./report.ts";
import { Service } from "./service.ts";
import { driveShops } from "./shop-drive.ts";
import { judgeShops, shopTable } from "./shop-report.ts";

const STORE = join(import.meta.dirname, "../../../node_modules/.pnpm");

const interrupt = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    interrupt.abort();
    // The second one ends the process at once.
    process.once(signal, () => process.exit(130));
  });
}
// The reader has ended: `npm run demo | head`.
process.stdout.on("error", () => interrupt.abort());

try {
  process.exitCode = await main(parseArguments(process.argv.slice(2)));
} catch (error) {
  if (interrupt.signal.aborted) process.exitCode = 130;
  else if (error instanceof UsageError) {
    console.error(`${error.message}\n--help lists the options`);
    process.exitCode = 2;
  } else {
    console.error(explain(error));
    process.exitCode = 1;
  }
}

/** @returns the exit code. */
async function main(args: DemoArguments): Promise<number> {
  if (args.helps) {
    console.log(USAGE);
    return 0;
  }
  if (args.processes > 1) return driveProcesses(args);
  const port = args.serves ? portOf(process.env) : 0;
  await using redis = args.usesRedis ? await findRedis(process.env) : undefined;
  console.log(`memory over ${redis === undefined ? "one SQLite file" : redis.description}`);
  await using copy = await PackageCopy.of(STORE);
  console.log(
    `copied ${copy.names.length} installed packages: ${whole(copy.files)} files, ${(copy.bytes / 2 ** 20).toFixed(1)} MiB`,
  );
  interrupt.signal.throwIfAborted();
  // Awaited here: `copy` and `redis` are disposed on return, and are in use until then.
  return await (args.serves ? serve(copy, redis, port) : driveAndJudge(args, copy, redis));
}

async function driveProcesses(args: DemoArguments): Promise<number> {
  await using redis = await needRedis(process.env);
  console.log(`${args.processes} processes, each with memory over ${redis.description}\n`);
  interrupt.signal.throwIfAborted();
  const run = await driveShops(args, { redis, signal: interrupt.signal });
  const checks = judgeShops(run);
  console.log(["", ...shopTable(run), "", ...checklist(checks)].join("\n"));
  return checks.every(({ passed }) => passed) ? 0 : 1;
}

async function driveAndJudge(args: DemoArguments, copy: PackageCopy, redis: DemoRedis | undefined): Promise<number> {
  console.log("");
  const run = await drive(args, { copy, redis, signal: interrupt.signal });
  const checks = judge(run);
  console.log(["", ...table(run), "", ...checklist(checks)].join("\n"));
  return checks.every(({ passed }) => passed) ? 0 : 1;
}

async function serve(copy: PackageCopy, redis: DemoRedis | undefined, port: number): Promise<number> {
  const service = await Service.start({ copy, port, redisUrl: redis?.url, keyPrefix: redis?.keyPrefix });
  console.log(
    `\nlistening on ${service.url}\n  curl -i ${service.url}/packages/${copy.names.find((name) => !name.startsWith("@"))}\nCtrl-C ends it`,
  );
  await once(interrupt.signal, "abort");
  await service.close();
  return 0;
}

/** The text of an error, without a stack if the message says what to do. */
function explain(error: unknown): string {
  if (error instanceof CacheError) return `${error.code}: ${error.message}`;
  if ((error as NodeJS.ErrnoException).code === "EADDRINUSE")
    return `${(error as Error).message}; set PORT to another port`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
