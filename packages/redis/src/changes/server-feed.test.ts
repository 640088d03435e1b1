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
): Promise<{ readonly server: ServerFeed; readonly clock: TestClock; readonly given: string[] }> {
  const clock = new TestClock();
  const given: string[] = [];
  const hub = new ChangeHub(
    clock,
    () => Promise.resolve(),
    () => [],
  );
  const server = new ServerFeed({
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
  await server.prepare(client as never, () => Promise.resolve());
  server.up({
    queue: { inFlight: 0, replies: 0, replied: ignore },
    distrust: (error: Error) => void given.push(error.message),
  } as never);
  return { server, clock, given };
}

it("C86 a connection on which nothing is answered to who begins to listen is given up", async () => {
  const silent: ListenMode = {
    handlePushes: ignore,
    subscribe: () => new Promise(() => undefined),
    heartbeat: () => Promise.resolve(true),
    unsubscribe: () => Promise.resolve(),
  };
  const { server, clock, given } = await connected(silent, () => "");
  void server.subscribe(1_000);
  await flush();
  clock.advance(999);
  await new Promise(setImmediate);
  expect(given).toEqual([]);
  clock.advance(1);
  await new Promise(setImmediate);
  expect(given).toEqual(["no answer within 1000 ms"]);
});

it("C86 a connection that forgot its user gives no proof, and is asked whether it tracks when it is back", async () => {
  let isKnown = false;
  const asked: string[] = [];
  const { server } = await connected(trackingMode(), (command) => {
    asked.push(command);
    if (!isKnown) throw new ErrorReply("NOAUTH Authentication required.");
    return command === "CLIENT TRACKINGINFO" ? { flags: ["on", "bcast"] } : "PONG";
  });
  expect(await server.heartbeat(1_000)).toBe(false);
  isKnown = true;
  asked.splice(0);
  expect(await server.heartbeat(1_000)).toBe(true);
  expect(asked).toEqual(["CLIENT TRACKINGINFO"]);
});

it("a question to a server that was never connected fails, and leaves no rejection unhandled", async () => {
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
    const server = new ServerFeed({
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
    await expect(server.exchange(["PING"], 10)).rejects.toThrow("not connected");
    await expect(server.heartbeat(10)).rejects.toThrow("not connected");
    await new Promise(setImmediate);
    expect(unhandled).toEqual([]);
  } finally {
    process.off("unhandledRejection", remember);
  }
});
