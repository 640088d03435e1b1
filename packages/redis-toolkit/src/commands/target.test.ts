import { TestClock } from "@hotset/testing";
import { expect, it } from "vitest";
import type { RedisConnection } from "../client/contract.ts";
import { targetOf } from "./target.ts";

it("C261: a command that waits in Redis has the time of its view that the wait for its socket has left", async () => {
  const clock = new TestClock();
  const given: unknown[] = [];
  const opensIn = (ms: number): RedisConnection =>
    ({
      isCluster: false,
      protocol: 3,
      open: (options: unknown) => {
        given.push(options);
        clock.advance(ms);
        return Promise.resolve({
          call: (_args: unknown, bounds: { readonly deadlineMs?: number }) => {
            given.push(bounds.deadlineMs);
            return Promise.resolve("reply");
          },
          close: () => Promise.resolve(),
        });
      },
    }) as unknown as RedisConnection;
  const waiting = { key: undefined, blockMs: 5_000, typeMapping: {} };
  const bounds = { deadlineMs: 100 };
  expect(await targetOf(opensIn(80), bounds, clock).wait(["BLPOP", "k", "5"], waiting)).toBe("reply");
  await targetOf(opensIn(100), bounds, clock).wait(["BLPOP", "k", "5"], waiting);
  await targetOf(opensIn(80), undefined, clock).wait(["BLPOP", "k", "5"], waiting);
  const opened = { role: "blocking", deadlineMs: 100 };
  expect(given).toEqual([opened, 20, opened, 1, { role: "blocking" }, undefined]);
});
