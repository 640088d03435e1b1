/**
 * A deploy of three processes under load, one after another, with `warm` and without: how often the new processes read
 * Redis in their first seconds, and how long their callers wait.
 *
 *     npm run bench -- warm --rounds 3 --delay 1
 *
 * `--delay` is the way to Redis in milliseconds, in each direction, as between two zones of a cloud.
 */
import { parseArgs } from "node:util";
import { forkScript, startOwnRedis, startProxy, type ScriptProcess } from "@hotset/test-servers";
import type { WarmProcess, WarmSettings } from "./processes/warm-process.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    delay: { type: "string", default: "1" },
    rate: { type: "string", default: "1000" },
    keys: { type: "string", default: "20000" },
  },
});
const [rounds, delayMs, rate, keys] = [values.rounds, values.delay, values.rate, values.keys].map(Number) as [
  number,
  number,
  number,
  number,
];
const PROCESSES = 3;
const RUN_IN_MS = 20_000;
const FIRST_MS = 5_000;
const SCRIPT = new URL("processes/warm-process.ts", import.meta.url);

interface Row {
  readonly reads: number;
  readonly calls: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly warmMs: number;
  /** Keys that were read before. */
  readonly warmed: number;
}

const rows: Record<"with" | "without", Row[]> = { with: [], without: [] };
for (let round = 0; round < rounds; round += 1)
  for (const how of round % 2 === 0 ? (["without", "with"] as const) : (["with", "without"] as const))
    rows[how].push(...(await deploy(how === "with")));

console.log(`${PROCESSES} processes replaced, ${rounds} rounds, ${rate} calls a second each, ${delayMs} ms to Redis`);
console.log("| | calls in the first 5 s | of which read Redis | p50 | p99 | keys read before | in |");
console.log("|---|---:|---:|---:|---:|---:|---:|");
for (const how of ["without", "with"] as const) {
  const median = (of: keyof Row): number => {
    const sorted = rows[how].map((row) => row[of]).toSorted((one, other) => one - other);
    return sorted[Math.floor(sorted.length / 2)]!;
  };
  console.log(
    `| ${how} \`warm\` | ${median("calls")} | ${median("reads")} | ${median("p50Ms").toFixed(2)} ms | ${median("p99Ms").toFixed(2)} ms | ${median("warmed")} | ${median("warmMs").toFixed(0)} ms |`,
  );
}

async function deploy(warms: boolean): Promise<readonly Row[]> {
  const server = await startOwnRedis();
  await using proxy = await startProxy({ port: server.port, host: "127.0.0.1" });
  proxy.delay(delayMs);
  const url = `redis://127.0.0.1:${proxy.port}`;
  let seed = 1;
  const start = async (): Promise<ScriptProcess<WarmProcess>> => {
    const started = forkScript<WarmProcess>(SCRIPT);
    const settings: WarmSettings = { url, keys, rate, seed: (seed += 1) };
    await started.call("open", settings);
    return started;
  };
  const fleet = await Promise.all(Array.from({ length: PROCESSES }, start));
  await fleet[0]!.call("fill", keys);
  for (const each of fleet) await each.call("ready");
  await fleet[0]!.call("spell", RUN_IN_MS);
  const found: Row[] = [];
  for (let at = 0; at < PROCESSES; at += 1) {
    const next = await start();
    const warmed = warms ? await next.call("warm") : undefined;
    await next.call("ready");
    const old = fleet[at]!;
    fleet[at] = next;
    const [spell] = await Promise.all([next.call("spell", FIRST_MS), old.call("close")]);
    await old.kill();
    found.push({ ...spell, warmMs: warmed?.ms ?? 0, warmed: warmed?.read ?? 0 });
  }
  for (const each of fleet) {
    await each.call("close");
    await each.kill();
  }
  await server.stop();
  return found;
}
