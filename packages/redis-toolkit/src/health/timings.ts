import type { Clock } from "@hotset/core";
import type { RedisConnection } from "../client/contract.ts";
import { checkWholeNumber } from "../module/module.ts";

/** A command that took long, from `SLOWLOG`. */
export interface SlowCommand {
  /** The address of the primary. */
  readonly address: string;
  /** Counted by each primary. */
  readonly id: number;
  /** By the clock of the server, in whole seconds. */
  readonly at: Date;
  /** Microseconds of execution. */
  readonly tookUs: number;
  /** Name and arguments, as Redis shortens them: they contain keys and values. */
  readonly args: readonly string[];
  /** Address of the client; `undefined` where the server does not say it. */
  readonly client: string | undefined;
}

/** How long Redis takes to answer. */
export interface LatencyReport {
  /** Milliseconds of round trips from here, to the primary with the highest median. */
  readonly roundTripMs: Readonly<Record<"min" | "p50" | "p95" | "p99" | "max", number>>;
  /** The events of `LATENCY LATEST` on all primaries; empty unless `latency-monitor-threshold` is set. */
  readonly events: readonly {
    readonly address: string;
    readonly name: string;
    readonly at: Date;
    readonly lastMs: number;
    readonly maxMs: number;
  }[];
}

type SlowlogReply = readonly (readonly [number, number, number, readonly Buffer[], Buffer?, Buffer?])[];
type LatencyReply = readonly (readonly [Buffer, number, number, number])[];

export async function slowlogOf(connection: RedisConnection, count = 10): Promise<readonly SlowCommand[]> {
  const asked = String(checkWholeNumber("slowlog: count", count, { min: 1, max: 10_000 }));
  const all = await connection.each(async (primary) => {
    const reply = (await primary.call(["SLOWLOG", "GET", asked], { isReadOnly: true })) as SlowlogReply;
    return reply.map(([id, seconds, tookUs, args, client]): SlowCommand => ({
      address: primary.address,
      id,
      at: new Date(seconds * 1_000),
      tookUs,
      args: args.map(String),
      client: client === undefined ? undefined : String(client),
    }));
  });
  return all
    .flat()
    .toSorted((one, other) => other.at.getTime() - one.at.getTime() || other.id - one.id)
    .slice(0, count);
}

export async function latencyOf(connection: RedisConnection, clock: Clock, samples = 100): Promise<LatencyReport> {
  checkWholeNumber("latency: samples", samples, { min: 1, max: 100_000 });
  const all = await connection.each(async (primary) => {
    const times: number[] = [];
    for (let i = 0; i < samples; i += 1) {
      const startedAt = clock.now();
      await primary.call(["PING"]);
      times.push(clock.now() - startedAt);
    }
    const latest = (await primary.call(["LATENCY", "LATEST"], { isReadOnly: true })) as LatencyReply;
    const events = latest.map(([name, seconds, lastMs, maxMs]) => ({
      address: primary.address,
      name: String(name),
      at: new Date(seconds * 1_000),
      lastMs,
      maxMs,
    }));
    return { times: times.toSorted((a, b) => a - b), events };
  });
  const slowest = all.reduce((one, other) => (at(other.times, 0.5) > at(one.times, 0.5) ? other : one));
  const { times } = slowest;
  return {
    roundTripMs: {
      min: times[0]!,
      p50: at(times, 0.5),
      p95: at(times, 0.95),
      p99: at(times, 0.99),
      max: times.at(-1)!,
    },
    events: all.flatMap(({ events }) => events),
  };
}

/** The smallest that is not below a share of all. */
const at = (sorted: readonly number[], share: number): number => sorted[Math.ceil(share * sorted.length) - 1]!;
