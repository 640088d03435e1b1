import { setTimeout as sleep } from "node:timers/promises";
import { forkScript, randomPrefix, startRestProxy, type RestFault, type RestProxy } from "@hotset/test-servers";
import { expect, inject, it } from "vitest";
import type { handlers, Round } from "./http-worker.ts";

const PROCESSES = 4;
const FAULTS: readonly RestFault[] = ["cuts answer", "cuts body", "keeps", 503, 429];

/** Each fault for a moment, again and again. Requests that were kept arrive late. */
async function trouble(proxy: RestProxy, isOver: () => boolean): Promise<void> {
  for (let i = 0; !isOver(); i += 1) {
    proxy.fault = FAULTS[i % FAULTS.length]!;
    await sleep(150);
    proxy.fault = "passes";
    await sleep(700);
    await proxy.release();
  }
}

/**
 * Streams that are cut, frozen, ended or refused, again and again. Requests are answered: an older copy may stand in for
 * one that was not (C92), and is always wrong here.
 */
async function troubleOfStreams(proxy: RestProxy, isOver: () => boolean): Promise<void> {
  const { streams } = proxy;
  while (streams.size < PROCESSES && !isOver()) await sleep(20);
  for (let i = 0; !isOver(); i += 1) {
    proxy.streamFault = i % 2 === 1 ? 503 : "passes";
    if (i % 3 === 0) streams.freeze();
    if (i % 3 === 1) streams.cut();
    if (i % 3 === 2) streams.end();
    // Longer than a copy may be older.
    await sleep(1_200);
    streams.thaw();
    proxy.streamFault = "passes";
    await sleep(400);
  }
}

it.for([
  ["full", "none", "quiet"],
  ["string", "none", "quiet"],
  ["full", "none", "faults"],
  ["string", "none", "faults"],
  ["full", "pubsub", "quiet"],
  ["string", "pubsub", "faults"],
  ["full", "pubsub", "faults"],
] as const)(
  "C743 four processes read nothing that a change had replaced before the read, or the one that it joins, began: %s, coherence %s, %s",
  { timeout: 120_000 },
  async ([layout, coherence, weather]) => {
    const redisUrl = inject("redisUrl");
    await using proxy = await startRestProxy({ redisPort: Number(new URL(redisUrl).port) });
    const responseTimeout = weather === "quiet" || coherence === "pubsub" ? "20s" : "1s";
    const round: Omit<Round, "seed"> = {
      url: proxy.url,
      redisUrl,
      prefix: randomPrefix(),
      layout,
      coherence,
      calls: coherence === "none" ? 15 : 80,
      responseTimeout,
    };
    await using stack = new AsyncDisposableStack();
    const processes = Array.from({ length: PROCESSES }, () =>
      stack.use(forkScript<typeof handlers>(new URL("http-worker.ts", import.meta.url))),
    );
    let isOver = false;
    const running = Promise.all(processes.map((each, i) => each.call("run", { ...round, seed: 94 + i }))).finally(
      () => {
        isOver = true;
      },
    );
    if (weather === "faults") await (coherence === "pubsub" ? troubleOfStreams : trouble)(proxy, () => isOver);
    const histories = await running;
    expect(histories.flatMap(({ tooOld }) => tooOld)).toEqual([]);
    const sum = (of: "reads" | "changes" | "loads"): number => histories.reduce((all, each) => all + each[of], 0);
    expect(sum("reads")).toBeGreaterThan(150);
    expect(sum("changes")).toBeGreaterThan(10);
    expect(sum("loads")).toBeLessThan(sum("reads"));
  },
);
