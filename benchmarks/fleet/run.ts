/**
 * The costs of a fleet of processes for Redis: each step alone, and a small service as `hotset capacity` predicts it.
 * Processor time, counts and bytes hold on a busy machine too.
 *
 *     npm run bench -- fleet             about ten minutes; writes benchmarks/results/fleet.json and fleet.svg
 *     npm run bench -- fleet --short     every part for a moment, and nothing written
 *     npm run bench -- fleet --compare   the small service alone, with the costs that the command has now
 *
 * New costs go into packages/cli/src/capacity/costs.ts, which a test compares; then run --compare.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { startOwnRedis } from "@hotset/test-servers";
import { inShort } from "../trial.ts";
import { cacheCosts, entryBytes, shareOfVersions } from "./caches.ts";
import {
  inThree,
  JSON_PATH,
  PLOT_PATH,
  plotOfFleet,
  readFleet,
  textOf,
  type Comparison,
  type FleetResults,
  type Step,
} from "./results.ts";
import { compared } from "./service.ts";
import { socketCosts, type Bytes } from "./sockets.ts";

const { values } = parseArgs({
  options: {
    short: { type: "boolean", default: false },
    compare: { type: "boolean", default: false },
    rounds: { type: "string", default: "5" },
  },
});
const rounds = values.short ? 1 : Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1)
  throw new Error(`--rounds must be a whole number of at least 1, got ${JSON.stringify(values.rounds)}`);

/** Differences between the services whose prediction is compared. */
const SERVICES = [{}, { writesPerSecond: 4, tagCallsPerSecond: 6, hitsPerSecond: 3_000 }] as const;
/** Runs of each: a step costs more where Redis has less to do, and that differs. */
const COMPARISONS = 3;

if (values.compare) {
  const services = await comparisons();
  if (!values.short) writeFileSync(JSON_PATH, textOf({ ...readFleet(), services }));
} else {
  const measured = await costs();
  const results: FleetResults = { machine: await machine(), ...measured, services: await comparisons() };
  if (!values.short) {
    writeFileSync(JSON_PATH, textOf(results));
    writeFileSync(PLOT_PATH, plotOfFleet(results));
  }
}
process.exit();

async function costs(): Promise<Omit<FleetResults, "machine" | "services">> {
  const steps: Step[] = [];
  let bytes: Bytes | undefined;
  for (const count of values.short ? [50] : [200, 5_000, 1_000]) {
    const found = await socketCosts(count, rounds);
    show(found.steps);
    steps.push(...found.steps);
    bytes = found.bytes;
  }
  let connect: FleetResults["connect"] | undefined;
  for (const each of values.short ? [1] : [1, 4, 17]) {
    const found = await cacheCosts(each, rounds);
    show(found.steps);
    steps.push(...found.steps);
    connect = found.connect;
  }
  const share = await shareOfVersions(values.short ? 1 : 8, rounds);
  // The last ones are of the caches that are most. Their heartbeats come alone, to an idle Redis.
  const us = (step: string, by = "caches"): number =>
    steps.findLast((one) => one.step === step && one.by === by)!.us.median;
  const found = {
    ...{
      heartbeatUs: us("heartbeat", "sockets"),
      hitUs: us("hit"),
      missUs: us("miss"),
      setUs: us("set"),
      pushUs: us("push"),
    },
    ...{ rereadUs: us("re-read"), tagCallUs: us("tag call"), tagUseUs: us("use after a tag call") },
    loadAfterTagCallUs: us("load after a tag call"),
    tagUseAtVersionsUs: share * us("use after a tag call"),
    ...(await entryBytes()),
    ...bytes!,
    connectionBytes: connect!.memoryBytes,
  };
  const rounded = Object.entries(found).map(([name, value]) => [name, inThree(value)] as const);
  for (const [name, value] of rounded) console.log(`${name.padEnd(24)}${value}`);
  console.log("a process that connects:", connect);
  return { costs: Object.fromEntries(rounded), connect: connect!, steps };
}

async function comparisons(): Promise<readonly Comparison[]> {
  const found: Comparison[] = [];
  for (const service of Array.from({ length: values.short ? 1 : COMPARISONS }, () => SERVICES).flat()) {
    const one = await compared(values.short ? { ...service, forMs: 2_000 } : service);
    console.log(
      `${one.words.join(" ")}: ${inShort(one.predictedCores)} cores predicted, ${inShort(one.measuredCores)} measured: ` +
        `${one.ratio.toFixed(2)}`,
    );
    found.push(one);
  }
  return found;
}

function show(steps: readonly Step[]): void {
  for (const { step, by, count, us } of steps)
    console.log(
      `${step.padEnd(24)}${`${count} ${by}`.padEnd(16)}${inShort(us.median)} us (${inShort(us.least)} to ${inShort(us.most)})`,
    );
}

async function machine(): Promise<string> {
  await using server = await startOwnRedis();
  const { redis_version: redis } = await server.info("server");
  const commit = execFileSync("git", ["rev-parse", "--short=12", "HEAD"], { encoding: "utf8" }).trim();
  return `Commit ${commit}, Node ${process.version}, Redis ${redis}, ${cpus().length} x ${cpus()[0]!.model}; ${rounds} rounds`;
}
