import { BackendUnavailableError } from "@hotset/core";
import { flush, outcome, TestClock } from "@hotset/testing";
import { expect, it } from "vitest";
import { KeySpace } from "../keys/key-space.ts";
import type { Module } from "../module/module.ts";
import { Acquisition } from "./acquisition.ts";
import { exclusive } from "./claim.ts";
import { LockServers, type Holder, type Vote } from "./servers.ts";

const POLICY = { ttlMs: 1_000, waitMs: 0, maxHoldMs: Infinity };
const GRANTED: Vote = { kind: "granted", fence: 1 };

/** Each attempt and release is settled by the test. `servers`: how many keep the lock. */
function start(servers = 1) {
  const clock = new TestClock();
  const attempts: { readonly token: string; readonly vote: PromiseWithResolvers<Vote> }[] = [];
  const released: string[] = [];
  class Scripted extends LockServers {
    override acquire({ token }: Holder): Promise<Vote> {
      const vote = Promise.withResolvers<Vote>();
      attempts.push({ token, vote });
      return vote.promise;
    }
    override async release({ token }: Holder): Promise<boolean> {
      released.push(token);
      return true;
    }
  }
  const connection = { isUp: true, open: async () => subscriber };
  const subscriber = { on: () => undefined, subscribe: async () => async () => undefined };
  const module = {
    clock,
    random: () => 0,
    connection,
    space: { inside: (key: string) => key },
    counts: { lockWaitMs: 0, locksAcquired: 0, locksUnavailable: 0 },
    onDisconnect: () => () => undefined,
    report: () => undefined,
  } as unknown as Module;
  const ground = { module, servers: new Scripted(Array.from({ length: servers }), undefined) };
  const acquire = (waitMs: number, signal?: AbortSignal) =>
    new Acquisition(
      ground,
      exclusive({ prefix: "lock:", space: KeySpace.root }, "a"),
      { ...POLICY, waitMs },
      signal,
    ).run();
  return { clock, attempts, released, acquire, connection };
}

const lost = new BackendUnavailableError("no reply", { operation: "acquire", maybeExecuted: true });

it("A64 A66: the attempts of one call share a token, so that one whose reply was lost is recognised by the next", async () => {
  const { clock, attempts, released, acquire } = start();
  const call = acquire(10_000);
  attempts[0]!.vote.reject(lost);
  await flush();
  clock.advance(500);
  await flush();
  attempts[1]!.vote.resolve(GRANTED);
  expect((await call).token).toBe(attempts[0]!.token);
  expect([attempts[1]!.token, released]).toEqual([attempts[0]!.token, []]);
});

it("A64: an attempt that is given up is released by a token that no later one has: the release may arrive late", async () => {
  const { clock, attempts, released, acquire } = start(3);
  const call = acquire(10_000);
  attempts[0]!.vote.resolve({ kind: "held", leftMs: -1 });
  await flush();
  expect(released).toEqual([attempts[0]!.token]);
  clock.advance(500);
  await flush();
  expect(attempts[1]!.token).not.toBe(attempts[0]!.token);
  attempts[1]!.vote.resolve(GRANTED);
  expect((await call).token).toBe(attempts[1]!.token);
  expect(released).toEqual([attempts[0]!.token]);
});

it("A64: the last attempt, if it may have taken the lock, is released; one that was refused leaves nothing", async () => {
  const unknown = start();
  const call = unknown.acquire(0);
  unknown.attempts[0]!.vote.reject(lost);
  expect(await outcome(call)).toMatchObject({ status: "rejected", reason: lost });
  expect(unknown.released).toEqual([unknown.attempts[0]!.token]);

  const held = start();
  const refused = held.acquire(0);
  held.attempts[0]!.vote.resolve({ kind: "held", leftMs: 40 });
  expect(await outcome(refused)).toMatchObject({ reason: { code: "LOCK_UNAVAILABLE", retryAfterMs: 40 } });
  expect(held.released).toEqual([]);
});

it("A64: a caller that leaves releases what its attempt may have taken", async () => {
  const { attempts, released, acquire } = start();
  const leaving = new AbortController();
  const call = acquire(10_000, leaving.signal);
  leaving.abort(new Error("the caller left"));
  attempts[0]!.vote.reject(leaving.signal.reason);
  expect(await outcome(call)).toMatchObject({ reason: { message: "the caller left" } });
  expect(released).toEqual([attempts[0]!.token]);
});

it.for([
  ["it had to connect first: asked once more, by the same token", false, 2],
  ["it was connected: the lock is another's by now, maybe", true, 1],
] as const)("A64: Redis answers after the ttl, and %s", async ([, wasUp, asked]) => {
  const { clock, attempts, acquire, connection } = start();
  connection.isUp = wasUp;
  const call = acquire(0);
  connection.isUp = true;
  clock.advance(1_000);
  attempts[0]!.vote.resolve(GRANTED);
  const ended = Promise.allSettled([call]);
  await flush();
  attempts[1]?.vote.resolve(GRANTED);
  expect([attempts.length, new Set(attempts.map(({ token }) => token)).size]).toEqual([asked, 1]);
  expect(await ended).toMatchObject([
    wasUp ? { reason: { message: expect.stringMatching(/after the ttl of 1000 ms/) } } : { status: "fulfilled" },
  ]);
});
