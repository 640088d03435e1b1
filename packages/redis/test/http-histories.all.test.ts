import { setTimeout as sleep } from "node:timers/promises";
import { forkScript, randomPrefix, startRestProxy, type RestFault, type RestProxy } from "@hotset/test-servers";
import { expect, inject, it } from "vitest";
import type { handlers, Round } from "./http-worker.ts";

const FAULTS: readonly RestFault[] = ["cuts answer", "cuts body", "keeps", 503, 429];

/** Each fault for a moment, again and again, and streams that are cut or frozen. Requests that were kept arrive late. */
async function trouble(proxy: RestProxy, isOver: () => boolean): Promise<void> {
  for (let i = 0; !isOver(); i += 1) {
    proxy.fault = FAULTS[i % FAULTS.length]!;
    if (i % 3 === 0) proxy.streams.cut();
    if (i % 3 === 1) proxy.streams.freeze();
    await sleep(150);
    proxy.fault = "passes";
    proxy.streams.thaw();
    await sleep(700);
    await proxy.release();
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
    const responseTimeout = weather === "quiet" ? "20s" : "1s";
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
    const processes = Array.from({ length: 4 }, () =>
      stack.use(forkScript<typeof handlers>(new URL("http-worker.ts", import.meta.url))),
    );
    let isOver = false;
    const running = Promise.all(processes.map((each, i) => each.call("run", { ...round, seed: 94 + i }))).finally(
      () => {
        isOver = true;
      },
    );
    if (weather === "faults") await trouble(proxy, () => isOver);
    const histories = await running;
    expect(histories.flatMap(({ tooOld }) => tooOld)).toEqual([]);
    const sum = (of: "reads" | "changes" | "loads"): number => histories.reduce((all, each) => all + each[of], 0);
    expect(sum("reads")).toBeGreaterThan(150);
    expect(sum("changes")).toBeGreaterThan(10);
    expect(sum("loads")).toBeLessThan(sum("reads"));
  },
);
