import { observe } from "@hotset/metrics/prometheus";
import { Registry } from "prom-client";
import { expect, it } from "vitest";

const figures = { changes: 7, calls: 3, clears: 1 };

it("C645: the lag of a follower is a metric, in the process that follows and in those that wait", async () => {
  const register = new Registry();
  const follows = { stats: () => ({ ...figures, role: "following", lagBytes: 2_000, lagMs: 1_500 }) };
  const waits = { stats: () => ({ ...figures, changes: 0, role: "waiting", lagBytes: 2_000, lagMs: undefined }) };
  const { close } = observe({ register, followers: { follows, waits } });
  const lines = (await register.metrics()).split("\n").filter((line) => line.startsWith("cache_follow"));
  expect(lines).toEqual([
    'cache_follow_lag_bytes{follower="follows"} 2000',
    'cache_follow_lag_bytes{follower="waits"} 2000',
    'cache_follow_delay_seconds{follower="follows"} 1.5',
    'cache_follow_active{follower="follows"} 1',
    'cache_follow_active{follower="waits"} 0',
    'cache_follow_events_total{follower="follows",event="changes"} 7',
    'cache_follow_events_total{follower="follows",event="calls"} 3',
    'cache_follow_events_total{follower="follows",event="clears"} 1',
    'cache_follow_events_total{follower="waits",event="changes"} 0',
    'cache_follow_events_total{follower="waits",event="calls"} 3',
    'cache_follow_events_total{follower="waits",event="clears"} 1',
  ]);
  close();
});

it("refuses anything but a follower", () => {
  expect(() => observe({ register: new Registry(), followers: { shop: {} as never } })).toThrow(
    'observe: followers must be an object of followers by their labels, got an object for "shop"',
  );
});
