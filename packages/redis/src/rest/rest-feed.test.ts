import { flush, outcome, TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { SubscriptionRefusedError, type ChangeListener } from "../connection/change-notifier.ts";
import { RestChanges } from "./rest-feed.ts";

const CHANNEL = "shop~changes";
const MAX_STALENESS_MS = 400;

/** A service with one channel, whose token may publish or not. */
class Service {
  mayPublish = true;
  /** Whether it drops what is published, as if its own subscription were broken, and keeps the stream. */
  losesMessages = false;
  /** Whether requests are answered by a proxy in its place, and executed by nothing. */
  isOverloaded = false;
  #stream: ReadableStreamDefaultController<Uint8Array> | undefined;

  readonly fetch = async (url: string, init: RequestInit): Promise<Response> => {
    if (url.includes("/subscribe/")) return this.#subscribe(init.signal!);
    if (this.isOverloaded) return new Response("later", { status: 503 });
    const sent = JSON.parse(init.body as string) as string[] | string[][];
    const isOne = typeof sent[0] === "string";
    const replies = (isOne ? [sent as string[]] : (sent as string[][])).map((words) => this.#reply(words));
    return Response.json(isOne ? replies[0] : replies);
  };

  #reply(words: readonly string[]): object {
    if (!words.includes("PUBLISH")) return { error: "NOPERM this user has no permissions to run the 'info' command" };
    if (!this.mayPublish) return { error: "NOPERM this user has no permissions to run the 'publish' command" };
    this.publish(words.at(-1)!);
    return { result: 1 };
  }

  publish(message: string): void {
    if (!this.losesMessages) this.#say(`message,${CHANNEL},${message}`);
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

/** A listener over a service, and what it received: changes, signs of life and losses. */
function opened() {
  const clock = new TestClock();
  const service = new Service();
  const received: string[] = [];
  const listener: ChangeListener = {
    topic: CHANNEL,
    maxStalenessMs: MAX_STALENESS_MS,
    now: () => clock.now(),
    changed: (keys) => void received.push(`changed ${keys.join()}`),
    everythingChanged: () => void received.push("everything changed"),
    alive: () => void received.push("alive"),
    replaced: () => undefined,
    lost: () => void received.push("lost"),
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
  return { service, listener, changes, passed, take: () => received.splice(0) };
}

/** From one beat to the next. */
const BEAT_MS = MAX_STALENESS_MS / 4;

it("a listener that attaches gets a refusal that another beat has met", async () => {
  const { service, listener, changes, passed, take } = opened();
  const attaching = changes.attach(listener);
  await passed(100);
  await attaching;
  take();
  service.mayPublish = false;
  await passed(BEAT_MS);
  expect(take()).toEqual(["lost"]);
  const again = changes.attach(listener);
  again.catch(() => undefined);
  await passed(10_000);
  expect(await outcome(again)).toEqual({ status: "rejected", reason: expect.any(SubscriptionRefusedError) });
  changes.close();
});

describe("a service that loses messages and keeps the stream", () => {
  const attached = async () => {
    const all = opened();
    const attaching = all.changes.attach(all.listener);
    await all.passed(50);
    await attaching;
    await all.passed(BEAT_MS);
    all.take();
    return all;
  };

  it("C86: a beat that does not come back puts all copies in doubt, before the next one is a sign of life", async () => {
    const { service, changes, passed, take } = await attached();
    service.losesMessages = true;
    service.publish("1 other shop:key");
    await passed(2 * BEAT_MS);
    expect(take()).toEqual([]);
    service.losesMessages = false;
    await passed(BEAT_MS);
    expect(take()).toEqual(["everything changed", "alive"]);
    await passed(BEAT_MS);
    expect(take()).toEqual(["alive"]);
    changes.close();
  });

  it("C86: a beat that could not be published says nothing of lost messages", async () => {
    const { service, changes, passed, take } = await attached();
    service.isOverloaded = true;
    await passed(2 * BEAT_MS);
    service.isOverloaded = false;
    await passed(BEAT_MS);
    expect(take()).toEqual(["alive"]);
    changes.close();
  });
});
