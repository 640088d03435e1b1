import type { OwnRedis } from "@hotset/test-servers";
import { setTimeout as sleep } from "node:timers/promises";
import type { Draft } from "./draft.ts";
import { DRAFT_TTL_MS } from "./facts-cache.ts";
import type { Traffic } from "./traffic.ts";

export interface Stage {
  readonly traffic: Traffic;
  readonly draft: Draft;
  /** The Redis that may be killed. */
  readonly redis: OwnRedis | undefined;
  /** Closes the service and starts another one in its place. */
  readonly deploy: () => Promise<string>;
  /** The store that keeps the entries meanwhile. */
  readonly store: "the file" | "Redis";
  /** The least duration and number of requests. */
  readonly seconds: number;
  readonly requests: number;
  readonly say: (text: string) => void;
  readonly signal: AbortSignal;
}

/** A Redis that was killed, and the one that came after it. */
export interface Restart {
  readonly runIds: readonly [killed: string, started: string];
  /** In the server that began empty, after a change was seen. */
  readonly keysSince: number;
}

const OUTAGE_MS = 700;

/**
 * The incidents while the service is driven:
 *
 *     cold ──▶ a draft ──▶ restart: memory is empty ──▶ Redis is killed ──▶ Redis is back, empty ──▶ end
 *              changes all the while
 *
 * Only the changes cost loads. The draft is first requested when everything else was loaded, so that its loads wait for
 * no others. The restart waits until every package was loaded, and so is in the store, which is not empty after it.
 * SIGKILL waits until every package was requested after the restart, and so is in memory, where it outlives the outage
 * and the loss of all entries in Redis.
 *
 * @throws the reason of `signal` when it is aborted.
 */
export async function causeIncidents(stage: Stage): Promise<readonly Restart[]> {
  const { traffic, draft, redis, deploy, store, seconds, requests, say, signal } = stage;
  const startedAt = performance.now();
  const share = (part: number): Promise<unknown> =>
    sleep(Math.max(0, startedAt + part * seconds * 1_000 - performance.now()), undefined, { signal });
  const restarts: Restart[] = [];

  await until(() => traffic.hasCoveredAll, signal, 20_000);
  traffic.askFor(draft.name);
  await share(0.3);
  await until(() => traffic.hasCoveredAll, signal, 20_000);
  await traffic.moveTo(deploy);
  say(`restarted the service: its memory is empty, ${store} is not`);
  if (redis !== undefined) {
    await share(0.5);
    await until(() => traffic.hasCoveredAll, signal, 20_000);
    restarts.push(await outage(redis, stage));
  }
  await share(1);
  await until(() => traffic.sent >= requests, signal, Infinity);
  await until(() => draft.visible > 0, signal, 3 * DRAFT_TTL_MS);
  // Last: a draft that no longer changes would be loaded without a cause.
  await draft.settle();
  return restarts;
}

async function outage(redis: OwnRedis, { traffic, draft, say, signal }: Stage): Promise<Restart> {
  const killed = await redis.runId();
  const { pid } = redis;
  // A load of the draft could not store its result meanwhile, and the cache would warn of that.
  await until(() => draft.isFresh, signal, 3 * DRAFT_TTL_MS);
  const sentBefore = traffic.sent;
  await redis.kill();
  say(`killed Redis (SIGKILL to ${pid}): memory answers`);
  await sleep(OUTAGE_MS, undefined, { signal });
  const sentMeanwhile = traffic.sent - sentBefore;
  await redis.start();
  const started = await redis.runId();
  say(
    `started Redis again (run_id ${short(killed)} is now ${short(started)}); ${sentMeanwhile.toLocaleString("en")} requests were sent meanwhile`,
  );
  // A change that is made and seen after the restart has been loaded and stored after it.
  const known = draft.changes.length;
  await until(() => draft.visible > known, signal, 3 * DRAFT_TTL_MS);
  return { runIds: [killed, started], keysSince: Number(await redis.command("DBSIZE")) };
}

/** Returns at the deadline, too: the checks show what did not happen. */
async function until(happened: () => boolean, signal: AbortSignal, withinMs: number): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!happened() && performance.now() < deadline) await sleep(20, undefined, { signal });
}

export const short = (runId: string): string => runId.slice(0, 8);
