import { setTimeout as sleep } from "node:timers/promises";
import { forkScript, randomPrefix, startRestProxy, type RestFault, type RestProxy } from "@hotset/test-servers";
import { expect, inject, it } from "vitest";
import type { handlers, Round } from "./http-worker.ts";

const PROCESSES = 4;
/** How often each lane of a process reads or changes. Without copies each read needs an answer, and faults take half. */
const CALLS = { none: { quiet: 15, faults: 40 }, pubsub: { quiet: 80, faults: 80 } };
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

/** Streams that are cut, frozen, ended, silent or refused, again and again. */
async function troubleOfStreams(proxy: RestProxy, isOver: () => boolean): Promise<void> {
  const { streams } = proxy;
  while (streams.size < PROCESSES && !isOver()) await sleep(20);
  for (let i = 0; !isOver(); i += 1) {
    proxy.streamFault = i % 2 === 1 ? 503 : "passes";
    if (i % 4 === 0) streams.freeze();
    if (i % 4 === 1) streams.cut();
    if (i % 4 === 2) streams.end();
    if (i % 4 === 3) streams.loseMessages();
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
  ["string", "pubsub", "faults of requests too"],
  ["full", "pubsub", "faults of requests too"],
] as const)(
  "C743 four processes read nothing that a change had replaced before the read, or the one that it joins, began: %s, coherence %s, %s",
  { timeout: 120_000 },
  async ([layout, coherence, weather]) => {
    const redisUrl = inject("redisUrl");
    await using proxy = await startRestProxy({ redisPort: Number(new URL(redisUrl).port) });
    const losesRequests = weather === "faults of requests too" || (weather === "faults" && coherence === "none");
    const round: Omit<Round, "seed"> = {
      url: proxy.url,
      redisUrl,
      prefix: randomPrefix(),
      layout,
      coherence,
      calls: CALLS[coherence][weather === "quiet" ? "quiet" : "faults"],
      responseTimeout: losesRequests && coherence === "none" ? "1s" : "20s",
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
    await Promise.all([
      losesRequests && trouble(proxy, () => isOver),
      weather !== "quiet" && coherence === "pubsub" && troubleOfStreams(proxy, () => isOver),
    ]);
    const histories = await running;
    expect(histories.flatMap(({ tooOld }) => tooOld)).toEqual([]);
    const sum = (of: "reads" | "changes" | "loads" | "unanswered"): number =>
      histories.reduce((all, each) => all + each[of], 0);
    // Enough of them have to be right.
    expect(sum("reads") - sum("unanswered")).toBeGreaterThan(100);
    expect(sum("reads")).toBeGreaterThan(150);
    expect(sum("changes")).toBeGreaterThan(10);
    expect(sum("loads")).toBeLessThan(sum("reads"));
  },
);
