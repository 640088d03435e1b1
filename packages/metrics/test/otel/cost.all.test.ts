import { createHook } from "node:async_hooks";
import { connect, type Labels } from "@hotset/metrics";
import { Durations, observe } from "@hotset/metrics/otel";
import { observe as observeForPrometheus } from "@hotset/metrics/prometheus";
import { createRedis } from "@hotset/redis-toolkit";
import { startOwnRedis } from "@hotset/test-servers";
import { Registry } from "prom-client";
import { afterAll, describe, expect, it, vi } from "vitest";
import { sdk } from "./sdk.ts";

const TOGETHER = 64;
const BURSTS = 30;
const COMMANDS = TOGETHER * BURSTS;

const server = await startOwnRedis();
const client = createRedis({ env: false, url: server.url, clientName: "shop" });
await client.commands.set("k", "v", { ttl: "1h" });
afterAll(async () => {
  await client.disconnect();
  await server.stop();
});

async function run(): Promise<void> {
  for (let i = 0; i < BURSTS; i += 1)
    await Promise.all(Array.from({ length: TOGETHER }, () => client.commands.get("k")));
}

const OBSERVERS = [
  ["Prometheus", () => observeForPrometheus({ register: new Registry(), redis: [client] })],
  [
    "OpenTelemetry with Durations",
    () => observe({ meterProvider: sdk().meterProvider, durations: new Durations(), redis: [client] }),
  ],
] as const;

/** By how much the count of `measure` rises for each command that is observed. */
async function added(start: () => { close(): void }, measure: () => Promise<number>): Promise<number> {
  await run();
  const without = await measure();
  const observation = start();
  await run();
  const observed = await measure();
  observation.close();
  return (observed - without) / COMMANDS;
}

describe.each(OBSERVERS)("A90: a pipelined command that is observed for %s", (_name, start) => {
  it("shares its looks at the clock with those beside it", async () => {
    const looks = async (): Promise<number> => {
      const clock = vi.spyOn(performance, "now");
      await run();
      const { length } = clock.mock.calls;
      clock.mockRestore();
      return length;
    };
    const each = await added(start, looks);
    expect(each).toBeGreaterThan(0);
    // Two for each burst of 64, and one more for each part in which its replies arrive.
    expect(each).toBeLessThan(0.2);
  });

  it("makes no promise, timer or tick of its own", async () => {
    const resources = async (): Promise<number> => {
      let count = 0;
      const hook = createHook({ init: () => void (count += 1) }).enable();
      await run();
      hook.disable();
      return count;
    };
    expect(await added(start, resources)).toBeLessThan(0.2);
  });
});

it("A90: labels are looked up once for each name of a command", async () => {
  const made: Labels[] = [];
  let recorded = 0;
  const end = connect(
    {
      observe: () => undefined,
      remove: () => undefined,
      histogram: () => (labels) => {
        made.push(labels);
        return () => void (recorded += 1);
      },
    },
    { redis: [client] },
  );
  await run();
  end();
  expect(made).toEqual([{ client: "shop", operation: "GET" }]);
  expect(recorded).toBe(COMMANDS);
});
