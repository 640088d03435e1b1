import { flush, outcome, TestClock } from "@hotset/testing";
import { expect, it } from "vitest";
import { SubscriptionRefusedError, type ChangeListener } from "../connection/change-notifier.ts";
import { RestChanges } from "./rest-feed.ts";

const CHANNEL = "shop~changes";
const MAX_STALENESS_MS = 400;

/** A service with one channel, whose token may publish or not. */
class Service {
  mayPublish = true;
  #stream: ReadableStreamDefaultController<Uint8Array> | undefined;

  readonly fetch = async (url: string, init: RequestInit): Promise<Response> => {
    if (url.includes("/subscribe/")) return this.#subscribe(init.signal!);
    const sent = JSON.parse(init.body as string) as string[] | string[][];
    const isOne = typeof sent[0] === "string";
    const replies = (isOne ? [sent as string[]] : (sent as string[][])).map((words) => this.#reply(words));
    return Response.json(isOne ? replies[0] : replies);
  };

  #reply(words: readonly string[]): object {
    if (!words.includes("PUBLISH")) return { error: "NOPERM this user has no permissions to run the 'info' command" };
    if (!this.mayPublish) return { error: "NOPERM this user has no permissions to run the 'publish' command" };
    this.#say(`message,${CHANNEL},${words.at(-1)!}`);
    return { result: 1 };
  }

  #subscribe(signal: AbortSignal): Response {
    const body = new ReadableStream<Uint8Array>({ start: (controller) => void (this.#stream = controller) });
    signal.addEventListener("abort", () => (this.#stream = undefined));
    this.#say(`subscribe,${CHANNEL},1`);
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  }

  #say(data: string): void {
    this.#stream?.enqueue(new TextEncoder().encode(`data: ${data}\n\n`));
  }
}

it("a listener that attaches gets a refusal that another beat has met", async () => {
  const clock = new TestClock();
  const service = new Service();
  const losses: unknown[] = [];
  const listener: ChangeListener = {
    topic: CHANNEL,
    maxStalenessMs: MAX_STALENESS_MS,
    now: () => clock.now(),
    changed: () => undefined,
    everythingChanged: () => undefined,
    alive: () => undefined,
    replaced: () => undefined,
    lost: (error) => void losses.push(error),
  };
  const changes = new RestChanges({
    ...{ url: "https://redis.example", token: "t", fetch: service.fetch, maxRequestBytes: 1_000_000 },
    ...{ clock, responseTimeoutMs: 1_000, connectTimeoutMs: 1_000 },
    // Longer than from one beat to the next.
    backoff: { baseMs: 1_000, factor: 2, maxMs: 10_000 },
    random: () => 0.99,
  });
  const passed = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 50) {
      clock.advance(50);
      for (let i = 0; i < 20; i += 1) await flush();
    }
  };
  const attaching = changes.attach(listener);
  await passed(100);
  await attaching;
  service.mayPublish = false;
  await passed(MAX_STALENESS_MS / 4);
  expect(losses).toHaveLength(1);
  const again = changes.attach(listener);
  again.catch(() => undefined);
  await passed(10_000);
  expect(await outcome(again)).toEqual({ status: "rejected", reason: expect.any(SubscriptionRefusedError) });
  changes.close();
});
