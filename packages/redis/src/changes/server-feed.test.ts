import { flush, TestClock } from "@hotset/core/testing";
import { ErrorReply } from "@redis/client";
import { expect, it } from "vitest";
import { ServerFeed, type ListenMode } from "./server-feed.ts";
import { ChangeHub } from "./change-hub.ts";
import { ServerIdentityGuard } from "./server-identity-guard.ts";
import { trackingMode } from "./tracking.ts";

const ignore = (): void => undefined;

/** A connection to a server that answers with what `reply` gives. */
async function connected(
  mode: ListenMode,
  reply: (command: string) => unknown,
): Promise<{ readonly feed: ServerFeed; readonly clock: TestClock; readonly dropped: string[] }> {
  const clock = new TestClock();
  const dropped: string[] = [];
  const hub = new ChangeHub(
    clock,
    () => Promise.resolve(),
    () => [],
  );
  const feed = new ServerFeed({
    hub,
    clock,
    mode,
    identityGuard: new ServerIdentityGuard(ignore),
    isDataConnection: true,
    isPrimary: () => Promise.resolve(true),
  });
  const client = {
    sendCommand: async (args: readonly string[]) => reply(args.join(" ")),
    subscribe: ignore,
    unsubscribe: ignore,
    _getQueue: () => ({ addPushHandler: ignore }),
  };
  await feed.prepare(client as never, () => Promise.resolve());
  feed.up({
    queue: { inFlight: 0, replies: 0, replied: ignore },
    distrust: (error: Error) => void dropped.push(error.message),
  } as never);
  return { feed, clock, dropped };
}

it("C86 a connection that does not answer while subscribing is given up", async () => {
  const silent: ListenMode = {
    handlePushes: ignore,
    subscribe: () => new Promise(() => undefined),
    heartbeat: () => Promise.resolve(true),
    unsubscribe: () => Promise.resolve(),
  };
  const { feed, clock, dropped } = await connected(silent, () => "");
  void feed.subscribe(1_000);
  await flush();
  clock.advance(999);
  await new Promise(setImmediate);
  expect(dropped).toEqual([]);
  clock.advance(1);
  await new Promise(setImmediate);
  expect(dropped).toEqual(["no answer within 1000 ms"]);
});

it("C86 a connection that forgot its user proves nothing, and is asked again whether it tracks once it knows the user", async () => {
  let isKnown = false;
  const asked: string[] = [];
  const { feed } = await connected(trackingMode(), (command) => {
    asked.push(command);
    if (!isKnown) throw new ErrorReply("NOAUTH Authentication required.");
    return command === "CLIENT TRACKINGINFO" ? { flags: ["on", "bcast"] } : "PONG";
  });
  expect(await feed.heartbeat(1_000)).toBe(false);
  isKnown = true;
  asked.splice(0);
  expect(await feed.heartbeat(1_000)).toBe(true);
  expect(asked).toEqual(["CLIENT TRACKINGINFO"]);
});

it("a command to a server that was never connected fails, and leaves no rejection unhandled", async () => {
  const unhandled: unknown[] = [];
  const remember = (reason: unknown): void => void unhandled.push(reason);
  process.on("unhandledRejection", remember);
  try {
    const mode: ListenMode = {
      handlePushes: () => undefined,
      subscribe: () => Promise.reject(new Error("not asked here")),
      heartbeat: async (send) => (await send(["PING"])) === "PONG",
      unsubscribe: () => Promise.resolve(),
    };
    const clock = new TestClock();
    const feed = new ServerFeed({
      hub: new ChangeHub(
        clock,
        () => Promise.resolve(),
        () => [],
      ),
      clock,
      mode,
      identityGuard: new ServerIdentityGuard(() => undefined),
      isDataConnection: true,
      isPrimary: () => Promise.resolve(true),
    });
    await expect(feed.exchange(["PING"], 10)).rejects.toThrow("not connected");
    await expect(feed.heartbeat(10)).rejects.toThrow("not connected");
    await new Promise(setImmediate);
    expect(unhandled).toEqual([]);
  } finally {
    process.off("unhandledRejection", remember);
  }
});
