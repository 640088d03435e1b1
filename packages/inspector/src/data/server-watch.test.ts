import { BackendUnavailableError } from "@hotset/core";
import { beforeEach, describe, expect, it } from "vitest";
import { ServerWatch, type ServerEvents } from "./server-watch.ts";

const BEGIN = 1_700_000_000_000;
const A = "10.0.0.1:6379";

interface Said {
  uptime: number;
  evicted: number;
  flushes: number;
  slow: readonly (readonly [agoMs: number, ms: number, command: string, client: string])[];
}

let now: number;
let watch: ServerWatch;
beforeEach(() => {
  now = BEGIN;
  watch = new ServerWatch(now);
});
const quiet = (): Said => ({ uptime: 86_400, evicted: 5_000, flushes: 7, slow: [] });
/** Another host has another clock. */
const AHEAD_MS = 300_000;

const infoOf = ({ uptime, evicted, flushes }: Said): string =>
  [
    ...["# Server", `server_time_usec:${1_000 * (now + AHEAD_MS)}`, `uptime_in_seconds:${uptime}`],
    ...["# Stats", `evicted_keys:${evicted}`, "# Commandstats"],
    `cmdstat_flushall:calls=${flushes},usec=10,usec_per_call=1.00,rejected_calls=0,failed_calls=0`,
  ].join("\r\n");

async function look(
  servers: Readonly<Record<string, Said>>,
  refused = "",
): Promise<Readonly<Record<string, ServerEvents>>> {
  const found = await watch.look(
    {
      each: (task) =>
        Promise.all(
          Object.entries(servers).map(([address, said]) =>
            task({
              address,
              call: ([command]: readonly unknown[]) => {
                if (command === refused) return Promise.reject(new Error("NOPERM"));
                if (command === "INFO") return Promise.resolve(Buffer.from(infoOf(said)));
                return Promise.resolve(
                  said.slow.map(([agoMs, ms, name, client]) => [
                    ...[1, Math.floor((now + AHEAD_MS - agoMs) / 1_000), 1_000 * ms],
                    ...[
                      [Buffer.from(name), Buffer.from("a secret")],
                      Buffer.from("10.0.0.9:5000"),
                      Buffer.from(client),
                    ],
                  ]),
                );
              },
            } as unknown as Parameters<typeof task>[0]),
          ),
        ),
    },
    now,
  );
  return Object.fromEntries(found);
}

describe("events of servers", () => {
  it("are none of a server that is quiet, whatever it has counted before", async () => {
    expect(await look({ [A]: quiet() })).toEqual({ [A]: {} });
    now += 30_000;
    expect(await look({ [A]: quiet() })).toEqual({ [A]: {} });
  });

  it("are commands of the last ten minutes that took 100 ms, by the clock of the server, without arguments", async () => {
    const slow: Said["slow"] = [
      [1_000, 99, "get", "web"],
      [5_000, 450, "eval", ""],
      [9_000, 451.4, "keys", "cron"],
      [600_001, 9_000, "sort", "cron"],
    ];
    expect(await look({ [A]: { ...quiet(), slow } })).toEqual({
      [A]: { slow: { times: 2, longestMs: 451, command: "KEYS", client: "cron at 10.0.0.9:5000" } },
    });
  });

  it("are evictions of the last minute, and flushes of ten, since it looks", async () => {
    await look({ [A]: quiet() });
    now += 50_000;
    const later = { ...quiet(), evicted: 5_300, flushes: 9 };
    expect(await look({ [A]: later })).toEqual({ [A]: { evicted: 300, flushes: 2 } });
    now += 60_001;
    expect(await look({ [A]: later })).toEqual({ [A]: { flushes: 2 } });
    now += 600_000;
    expect(await look({ [A]: later })).toEqual({ [A]: {} });
  });

  it("are a restart while it looks, and none before", async () => {
    now += 20_000;
    expect(await look({ [A]: { ...quiet(), uptime: 21 } })).toEqual({ [A]: {} });
    now += 20_000;
    const restarted = { ...quiet(), uptime: 10, evicted: 3, flushes: 1 };
    expect(await look({ [A]: restarted })).toEqual({ [A]: { restartedAt: now - 10_000, evicted: 3, flushes: 1 } });
  });

  it("are a server that takes the place of another, and not one that is added", async () => {
    const [b, c] = ["10.0.0.2:6379", "10.0.0.3:6379"];
    await look({ [A]: quiet() });
    expect(await look({ [A]: quiet(), [b]: quiet() })).toEqual({ [A]: {}, [b]: {} });
    now += 1_000;
    expect(await look({ [c]: quiet(), [b]: quiet() })).toEqual({ [b]: {}, [c]: { tookOverAt: now } });
    now += 600_000;
    expect(await look({ [c]: quiet(), [b]: quiet() })).toEqual({ [b]: {}, [c]: {} });
  });

  it.each(["INFO", "SLOWLOG"])("leave out what the user may not ask: %s", async (refused) => {
    const slow: Said["slow"] = [[1_000, 450, "eval", "cron"]];
    await look({ [A]: { ...quiet(), slow } }, refused);
    now += 1_000;
    const { [A]: found } = await look({ [A]: { ...quiet(), slow, flushes: 8 } }, refused);
    expect(Object.keys(found!)).toEqual(refused === "INFO" ? ["slow"] : ["flushes"]);
  });

  it("are none where no server answers", async () => {
    const each = (): Promise<never> =>
      Promise.reject(new BackendUnavailableError("redis: no answer", { tier: "redis" }));
    expect([...(await watch.look({ each }, now))]).toEqual([]);
  });
});
