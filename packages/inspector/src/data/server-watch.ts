import type { Module } from "@hotset/redis-toolkit/module";

type Connection = Pick<Module["connection"], "each">;

/** Commands of other programs that held a server up. Without arguments: they hold keys and values. */
export interface SlowCommands {
  readonly times: number;
  readonly longestMs: number;
  /** Of the longest one. */
  readonly command: string;
  /** Name and address, as far as the server says them. */
  readonly client: string;
}

/** What happened to one server lately. */
export interface ServerEvents {
  /** In the last ten minutes; absent for none. */
  readonly slow?: SlowCommands;
  /** Keys that were removed for want of memory while it was looked at, in the last minute. */
  readonly evicted?: number;
  /** How often all keys were removed by a command while it was looked at, in the last ten minutes. */
  readonly flushes?: number;
  /** Since when it runs, if it has started while it was looked at. In milliseconds since 1970. */
  readonly restartedAt?: number;
  /** When it took over from another server, likewise. */
  readonly tookOverAt?: number;
}

const SLOW_MS = 100;
const WINDOW_MS = 600_000;
const MINUTE_MS = 60_000;
const MOST_SLOW = 64;
const DEADLINE_MS = 1_000;
/** Clocks and answers are so exact. */
const MARGIN_MS = 3_000;

interface Counts {
  readonly at: number;
  readonly evicted: number;
  readonly flushes: number;
}

/**
 * Looks at the servers of a Redis from time to time. What a user may not ask is left out: `SLOWLOG` and `INFO` are
 * rights of their own.
 */
export class ServerWatch {
  readonly #begunAt: number;
  readonly #counts = new Map<string, Counts[]>();
  readonly #tookOver = new Map<string, number>();
  #addresses: readonly string[] | undefined;

  constructor(now: number) {
    this.#begunAt = now;
  }

  /** By the address of each primary. Never rejects. */
  async look(connection: Connection, now: number): Promise<ReadonlyMap<string, ServerEvents>> {
    const asked = await connection
      .each(async (primary) => {
        const ask = (...args: string[]): Promise<unknown> =>
          primary.call(args, { isReadOnly: true, deadlineMs: DEADLINE_MS }).catch(() => undefined);
        const [info, slow] = await Promise.all([
          ask("INFO", "server", "stats", "commandstats"),
          ask("SLOWLOG", "GET", String(MOST_SLOW)),
        ]);
        return { address: primary.address, info: info === undefined ? "" : String(info), slow };
      })
      .catch(() => []);
    if (asked.length > 0)
      this.#compare(
        asked.map(({ address }) => address),
        now,
      );
    return new Map(asked.map(({ address, info, slow }) => [address, this.#eventsOf(address, { info, slow }, now)]));
  }

  /** A primary that is new where another has gone has taken over. One that is added to a cluster has not. */
  #compare(addresses: readonly string[], now: number): void {
    const before = this.#addresses;
    this.#addresses = addresses;
    if (before === undefined || before.every((each) => addresses.includes(each))) return;
    for (const address of addresses) if (!before.includes(address)) this.#tookOver.set(address, now);
  }

  #eventsOf(
    address: string,
    { info, slow }: { readonly info: string; readonly slow: unknown },
    now: number,
  ): ServerEvents {
    const field = (name: string): number => Number(new RegExp(`^${name}:(\\d+)`, "m").exec(info)?.[1]);
    const uptimeMs = 1_000 * field("uptime_in_seconds");
    const serverNow = Math.floor(field("server_time_usec") / 1_000);
    const hasRestarted = uptimeMs + MARGIN_MS < Math.min(WINDOW_MS, now - this.#begunAt);
    const slowest = slowIn(slow, Number.isNaN(serverNow) ? now : serverNow);
    const tookOverAt = this.#tookOver.get(address);
    const counts: Counts = {
      ...{ at: now, evicted: field("evicted_keys") },
      flushes: ["flushall", "flushdb"].reduce((sum, name) => sum + callsOf(info, name), 0),
    };
    return {
      ...(slowest !== undefined && { slow: slowest }),
      ...this.#increases(address, counts, hasRestarted),
      ...(hasRestarted && { restartedAt: now - uptimeMs }),
      ...(tookOverAt !== undefined && now - tookOverAt < WINDOW_MS && { tookOverAt }),
    };
  }

  #increases(address: string, counts: Counts, hasRestarted: boolean): Pick<ServerEvents, "evicted" | "flushes"> {
    if (Number.isNaN(counts.evicted)) return {};
    // A server that has restarted counts from the beginning.
    const known = (this.#counts.get(address) ?? []).filter(
      ({ at, evicted }) => counts.at - at < WINDOW_MS && evicted <= counts.evicted,
    );
    if (hasRestarted && known.length === 0) known.push({ at: counts.at, evicted: 0, flushes: 0 });
    known.push(counts);
    this.#counts.set(address, known);
    const minute = known.find(({ at }) => counts.at - at <= MINUTE_MS)!;
    const evicted = counts.evicted - minute.evicted;
    const flushes = counts.flushes - known[0]!.flushes;
    return { ...(evicted > 0 && { evicted }), ...(flushes > 0 && { flushes }) };
  }
}

const callsOf = (info: string, command: string): number =>
  Number(new RegExp(`^cmdstat_${command}:calls=(\\d+)`, "m").exec(info)?.[1] ?? 0);

function slowIn(reply: unknown, now: number): SlowCommands | undefined {
  if (!Array.isArray(reply)) return undefined;
  const recent = (reply as readonly unknown[]).flatMap((entry) => {
    const [, seconds, tookUs, args, address, name] = Array.isArray(entry) ? (entry as readonly unknown[]) : [];
    const ms = Number(tookUs) / 1_000;
    if (!(ms >= SLOW_MS) || !(1_000 * Number(seconds) >= now - WINDOW_MS)) return [];
    const command = Array.isArray(args) ? textOf(args[0]).toUpperCase() : "";
    return [{ ms, command, client: [textOf(name), textOf(address)].filter(Boolean).join(" at ") }];
  });
  const [longest] = recent.toSorted((one, other) => other.ms - one.ms);
  if (longest === undefined) return undefined;
  const { command, client, ms } = longest;
  return { times: recent.length, longestMs: Math.round(ms), command, client };
}

const textOf = (given: unknown): string =>
  typeof given === "string" || given instanceof Uint8Array ? String(given).slice(0, 100) : "";
