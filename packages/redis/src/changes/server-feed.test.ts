import { flush, TestClock } from "@hotset/testing";
import { ErrorReply } from "@redis/client";
import { expect, it, vi } from "vitest";
import { SubscriptionRefusedError } from "../connection/change-notifier.ts";
import { ChangeHub } from "./change-hub.ts";
import { ServerFeed, type ListenMode } from "./server-feed.ts";
import { ServerIdentityGuard } from "./server-identity-guard.ts";
import { trackingMode } from "./tracking.ts";

const ignore = (): void => undefined;

/** A connection to a server that answers with what `reply` gives. */
async function connected(
  mode: ListenMode,
  reply: (command: string) => unknown,
  isPrimary: () => Promise<boolean> = () => Promise.resolve(true),
): Promise<{
  readonly feed: ServerFeed;
  readonly clock: TestClock;
  readonly dropped: string[];
  readonly queue: { inFlight: number; replies: number };
}> {
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
    isPrimary,
  });
  const client = {
    sendCommand: async (args: readonly string[]) => reply(args.join(" ")),
    subscribe: ignore,
    unsubscribe: ignore,
    _getQueue: () => ({ addPushHandler: ignore }),
  };
  await feed.prepare(client as never, () => Promise.resolve());
  const queue = { inFlight: 0, replies: 0, replied: ignore, deadlineMs: 500 };
  feed.up({
    queue,
    get signsOfLife() {
      return queue.replies;
    },
    distrust: (error: Error) => void dropped.push(error.message),
  } as never);
  return { feed, clock, dropped, queue };
}

const silent: ListenMode = {
  handlePushes: ignore,
  subscribe: () => new Promise(() => undefined),
  heartbeat: () => Promise.resolve(true),
  unsubscribe: () => Promise.resolve(),
};

it("C86 a connection that does not answer while subscribing is given up", async () => {
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

it("C86 A12 a connection that answers once while subscribing, and then nothing more, is given up a deadline later", async () => {
  const { feed, clock, dropped, queue } = await connected(silent, () => "");
  void feed.subscribe(1_000);
  await flush();
  queue.replies += 1;
  clock.advance(1_000);
  await new Promise(setImmediate);
  expect(dropped).toEqual([]);
  clock.advance(999);
  await new Promise(setImmediate);
  expect(dropped).toEqual([]);
  clock.advance(1);
  await new Promise(setImmediate);
  expect(dropped).toEqual(["no answer within 1000 ms"]);
});

it.each([
  ["LOADING Redis is loading the dataset in memory", ErrorReply],
  ["BUSY Redis is busy running a script", ErrorReply],
  ["NOPERM this user has no permissions", SubscriptionRefusedError],
] as const)("A93 while subscribing, %s is an error of this class", async (message, errorClass) => {
  const mode: ListenMode = {
    handlePushes: ignore,
    subscribe: () => Promise.reject(new ErrorReply(message)),
    heartbeat: () => Promise.resolve(true),
    unsubscribe: () => Promise.resolve(),
  };
  const { feed } = await connected(mode, () => "");
  const error: unknown = await feed.subscribe(1_000).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(errorClass);
  expect(error).toMatchObject({ message });
});

it.each([
  ["it is a replica now", () => Promise.resolve(false)],
  ["its connection is lost meanwhile", () => Promise.reject(new Error("not connected"))],
])("a server that refuses to report its changes is asked for its role with each attempt: %s", async (_, role) => {
  const refusing: ListenMode = {
    handlePushes: ignore,
    subscribe: () => Promise.reject(new ErrorReply("NOPERM this user has no permissions")),
    heartbeat: () => Promise.resolve(true),
    unsubscribe: () => Promise.resolve(),
  };
  const isPrimary = vi.fn(role);
  const { feed } = await connected(refusing, () => "", isPrimary);
  for (let i = 0; i < 2; i++) await expect(feed.subscribe(1_000)).rejects.toThrow(SubscriptionRefusedError);
  expect(isPrimary.mock.calls).toEqual([[1_000], [1_000]]);
});

it("C86 a connection that forgot its user proves nothing and is given up; one whose server is busy proves nothing and is kept", async () => {
  const { feed, dropped } = await connected(trackingMode("keys-read"), () => {
    throw new ErrorReply("NOAUTH Authentication required.");
  });
  expect(await feed.heartbeat(1_000)).toBe(false);
  expect(dropped).toEqual(["NOAUTH Authentication required."]);
  const busy = await connected(trackingMode("keys-read"), () => {
    throw new ErrorReply("BUSY Redis is busy running a script");
  });
  expect(await busy.feed.heartbeat(1_000)).toBe(false);
  expect(busy.dropped).toEqual([]);
});

it("C86 a connection that forgot its user proves nothing, and is asked again whether it tracks once it knows the user", async () => {
  let isKnown = false;
  const asked: string[] = [];
  const { feed } = await connected(trackingMode("keys-read"), (command) => {
    asked.push(command);
    if (!isKnown) throw new ErrorReply("NOAUTH Authentication required.");
    return command === "CLIENT TRACKINGINFO" ? { flags: ["on"] } : "PONG";
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

it("a server that was emptied is asked whose data it has, and given up where that is another one's", async () => {
  let push: Parameters<ListenMode["handlePushes"]>[1] | undefined;
  const mode: ListenMode = {
    handlePushes: (_client, hub) => void (push = hub),
    subscribe: () => Promise.resolve({ topics: [], hasGap: false }),
    heartbeat: () => Promise.resolve(true),
    unsubscribe: () => Promise.resolve(),
  };
  let history = "h1";
  let asked = 0;
  const { feed, dropped } = await connected(mode, (command) => {
    if (command !== "INFO replication") return command === "INFO server" ? "run_id:r1\r\n" : 1;
    asked += 1;
    return `role:master\r\nmaster_replid:${history}\r\n`;
  });
  expect([await feed.heartbeat(1_000), asked]).toEqual([true, 1]);
  push!.everythingChanged();
  expect([await feed.heartbeat(1_000), await feed.heartbeat(1_000), asked]).toEqual([true, true, 2]);
  // A primary has another history once its first replica attaches, too. It keeps its data then.
  history = "h2";
  expect([await feed.heartbeat(1_000), asked, dropped]).toEqual([true, 2, []]);
  push!.everythingChanged();
  expect([await feed.heartbeat(1_000), dropped]).toEqual([false, ["it has the data of another server now"]]);
});
