import { BackendUnavailableError } from "@hotset/core";
import { flush, gate, outcome, TestClock, type Gate } from "@hotset/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { Wire } from "../../test/wire.ts";
import { send } from "./link.ts";
import type { Session } from "./session.ts";
import { SingleLink } from "./single-link.ts";

const READ = { tier: "redis", operation: "read" };

class Attempt {
  readonly wire: Wire = new Wire();
  readonly door: Gate = gate();
  readonly aborted: AbortSignal;
  isDestroyed = false;
  isLostAtOnce = false;
  #listener: ((error: Error) => void) | undefined;

  readonly reached: () => void;

  constructor(aborted: AbortSignal, reached: () => void) {
    this.aborted = aborted;
    this.reached = reached;
  }

  async open(): Promise<Session> {
    await this.door.pass();
    return {
      address: "a test",
      client: this.wire,
      onLost: (listener) => {
        this.#listener = listener;
        if (this.isLostAtOnce) this.lose();
      },
      destroy: () => {
        this.isDestroyed = true;
        this.wire.cut(new Error("Disconnects client"));
      },
    };
  }

  succeed(): Promise<void> {
    this.door.open();
    return flush();
  }

  fail(retryable = true): Promise<void> {
    this.door.fail(
      new BackendUnavailableError("Redis at cache:6379 cannot be used: connect ECONNREFUSED; check", {
        retryable,
        maybeExecuted: false,
      }),
    );
    return flush();
  }

  lose(): void {
    this.#listener!(new Error("read ECONNRESET"));
    this.wire.cut(new Error("read ECONNRESET"));
  }
}

/** The notifications of the observer. */
let notified: string[];

let clock: TestClock;
let attempts: Attempt[];
let link: SingleLink;

const settings = {
  random: () => 0.5,
  responseTimeoutMs: 1_000,
  maxInFlight: 100,
  backoff: { baseMs: 100, factor: 2, maxMs: 1_000 },
  retries: Infinity,
  reconnects: "always" as "always" | "used",
};

function start(overrides: Partial<typeof settings> = {}, hasListeners?: () => boolean): void {
  attempts = [];
  notified = [];
  link = new SingleLink(
    (aborted, reached) => {
      const attempt = new Attempt(aborted, reached);
      attempts.push(attempt);
      return attempt.open();
    },
    { ...settings, ...overrides, clock },
    { up: (which) => notified.push(which === link ? "up" : "another"), down: (error) => notified.push(error.message) },
    hasListeners && { tracking: undefined, channel: undefined, hasListeners, close: () => Promise.resolve() },
  );
}

beforeEach(() => {
  clock = new TestClock();
  start();
});

function request(command: string): Promise<unknown> {
  const reply = send(link, READ, [command]);
  reply.catch(() => undefined);
  return reply;
}

const READONLY = new Error("READONLY You can't write against a read only replica.");

describe("the first connection", () => {
  it("A7 R1-05 C100: is opened by the first call, once for a hundred", async () => {
    await flush();
    expect(attempts).toHaveLength(0);
    const calls = Array.from({ length: 100 }, (_, i) => request(`GET ${i}`));
    const connects = [link.connect(), link.connect()];
    await flush();
    expect(attempts).toHaveLength(1);
    await attempts[0]!.succeed();
    await Promise.all(connects);
    expect(attempts[0]!.wire.sent).toHaveLength(100);
    for (let i = 0; i < 100; i++) await attempts[0]!.wire.reply(i);
    expect(await Promise.all(calls)).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(attempts).toHaveLength(1);
  });

  it("a call waits for as long as its attempt takes, and has its deadline from when it is sent", async () => {
    const calls = [request("GET 1"), request("GET 2")];
    for (let i = 0; i < 10; i += 1) clock.advance(1_000);
    clock.advance(500);
    expect(await outcome(calls[0]!)).toEqual({ status: "pending" });
    await attempts[0]!.succeed();
    expect(attempts[0]!.wire.sent).toEqual(["GET 1", "GET 2"]);
    clock.advance(999);
    await attempts[0]!.wire.reply("one");
    expect(await outcome(calls[0]!)).toEqual({ status: "fulfilled", value: "one" });
    expect(await outcome(calls[1]!)).toEqual({ status: "pending" });
    clock.advance(1);
    expect(await outcome(calls[1]!)).toMatchObject({ status: "rejected", reason: { maybeExecuted: true } });
  });

  it("a call that finds no room once it is open has its deadline from then on", async () => {
    start({ maxInFlight: 1 });
    const calls = [request("GET 1"), request("GET 2")];
    clock.advance(5_000);
    await attempts[0]!.succeed();
    expect(attempts[0]!.wire.sent).toEqual(["GET 1"]);
    for (let i = 0; i < 8; i += 1) clock.advance(250);
    for (const call of calls) expect(await outcome(call)).toMatchObject({ status: "rejected" });
  });

  it("once there is a socket the deadline of a call counts, as the server is silent", async () => {
    const call = request("GET 1");
    for (let i = 0; i < 3; i += 1) clock.advance(1_000);
    attempts[0]!.reached();
    clock.advance(1_000);
    expect(await outcome(call)).toEqual({ status: "pending" });
    clock.advance(1_000);
    expect(await outcome(call)).toMatchObject({ status: "rejected", reason: { maybeExecuted: false } });
  });

  it("a call with a deadline of its own waits no longer than that", async () => {
    const call = send(link, READ, ["GET 1"], { deadlineMs: 500 });
    call.catch(() => undefined);
    clock.advance(499);
    expect(await outcome(call)).toEqual({ status: "pending" });
    clock.advance(1);
    expect(await outcome(call)).toMatchObject({ status: "rejected", reason: { maybeExecuted: false } });
  });

  it("A13: after it has failed, no call waits for the next one longer than its deadline", async () => {
    start({ retries: 1 });
    const first = request("GET 0");
    await attempts.shift()!.fail();
    expect(await outcome(first)).toMatchObject({ status: "rejected", reason: { maybeExecuted: false } });
    const call = request("GET 1");
    clock.advance(999);
    expect(await outcome(call)).toEqual({ status: "pending" });
    clock.advance(1);
    expect(await outcome(call)).toMatchObject({
      status: "rejected",
      reason: { maybeExecuted: false, retryable: true },
    });
    await attempts[0]!.succeed();
    expect(attempts[0]!.wire.sent).toEqual([]);
  });

  it("A44: one that is no longer trusted is replaced, also while it is being opened", async () => {
    const call = request("GET 1");
    await flush();
    link.distrust(new Error("it is a primary now"));
    await attempts[0]!.succeed();
    expect([attempts.length, attempts[0]!.isDestroyed, link.state]).toEqual([2, true, "connecting"]);
    await attempts[1]!.succeed();
    await attempts[1]!.wire.reply("v");
    expect([await call, attempts[0]!.wire.sent, notified]).toEqual(["v", [], ["up"]]);
    link.distrust(new Error("it is a primary now"));
    expect([attempts[1]!.isDestroyed, link.state]).toEqual([true, "down"]);
  });

  it("A7 A8 R1-05: a failed one is reported to all commands that wait, and tried again in the background", async () => {
    const settled = Promise.allSettled([request("GET 1"), request("GET 2"), link.connect()]);
    await attempts[0]!.fail();
    for (const result of await settled)
      expect(result).toMatchObject({ status: "rejected", reason: { code: "BACKEND_UNAVAILABLE" } });
    expect(attempts).toHaveLength(1);
    clock.advance(100);
    expect(attempts).toHaveLength(2);
    await attempts[1]!.succeed();
    void request("GET 3");
    expect(attempts[1]!.wire.sent).toEqual(["GET 3"]);
  });

  it("A16: waits longer after each failure, at most max, and without end", async () => {
    void request("GET 1");
    for (const waitMs of [100, 200, 400, 500, 500, 500]) {
      const count = attempts.length;
      await attempts.at(-1)!.fail();
      clock.advance(waitMs - 1);
      await flush();
      expect(attempts).toHaveLength(count);
      clock.advance(1);
      expect(attempts).toHaveLength(count + 1);
    }
  });

  it("R1-04 A7 A16: after so many retries there is no attempt until the next call, which tries again and waits", async () => {
    start({ retries: 2 });
    void request("GET 1");
    await attempts[0]!.fail();
    clock.advance(100);
    await attempts[1]!.fail();
    clock.advance(3_600_000);
    await flush();
    expect(attempts).toHaveLength(2);

    const call = request("GET 2");
    await flush();
    expect(attempts).toHaveLength(3);
    await attempts[2]!.succeed();
    await attempts[2]!.wire.reply("two");
    expect(await call).toBe("two");
  });

  it("A6: a failure that cannot get better is not tried again until a call comes, and then at most once a second", async () => {
    const first = request("GET 1");
    await attempts[0]!.fail(false);
    expect(await outcome(first)).toMatchObject({ reason: { retryable: false, maybeExecuted: false } });
    expect(await outcome(request("GET 2"))).toMatchObject({ reason: { retryable: false } });
    clock.advance(999);
    expect(await outcome(request("GET 3"))).toMatchObject({ reason: { retryable: false } });
    expect(attempts).toHaveLength(1);

    clock.advance(1);
    await flush();
    expect(attempts).toHaveLength(1);
    const later = request("GET 4");
    expect(attempts).toHaveLength(2);
    await attempts[1]!.succeed();
    await attempts[1]!.wire.reply("four");
    expect(await later).toBe("four");
  });

  it("A7 R1-05: connect() tries at once, also while a retry is due later", async () => {
    void request("GET 1");
    await attempts[0]!.fail();
    const connecting = link.connect();
    expect(attempts).toHaveLength(2);
    await attempts[1]!.succeed();
    await connecting;
    clock.advance(60_000);
    await flush();
    expect(attempts).toHaveLength(2);
  });
});

describe("a lost connection", () => {
  beforeEach(async () => {
    void link.connect();
    await attempts[0]!.succeed();
    clock.advance(60_000);
  });

  it("A15: calls are refused at once until there is another one, and are never sent later", async () => {
    attempts[0]!.lose();
    expect(await outcome(request("INCR 1"))).toMatchObject({
      status: "rejected",
      reason: { maybeExecuted: false, retryable: true },
    });
    clock.advance(50);
    expect(attempts).toHaveLength(2);
    expect(await outcome(request("INCR 2"))).toMatchObject({ status: "rejected", reason: { maybeExecuted: false } });
    await attempts[1]!.succeed();
    expect(attempts[1]!.wire.sent).toEqual([]);
    void request("INCR 3");
    expect(attempts[1]!.wire.sent).toEqual(["INCR 3"]);
  });

  it("A14: commands in flight are rejected, and not sent again", async () => {
    const call = request("INCR 1");
    attempts[0]!.lose();
    expect(await outcome(call)).toMatchObject({ status: "rejected" });
    clock.advance(50);
    await attempts[1]!.succeed();
    expect(attempts[1]!.wire.sent).toEqual([]);
  });

  it("is replaced by a new one, and the old one destroyed", async () => {
    attempts[0]!.lose();
    expect(attempts[0]!.isDestroyed).toBe(true);
    clock.advance(50);
    await attempts[1]!.succeed();
    const call = request("GET 1");
    await attempts[1]!.wire.reply("one");
    expect(await call).toBe("one");
  });

  it.each([40, 4_000])("A16: is replaced after a part of base, which is %d ms", async (baseMs) => {
    start({ backoff: { baseMs, factor: 2, maxMs: 5_000 }, random: () => 0.25 });
    void link.connect();
    await attempts[0]!.succeed();
    clock.advance(60_000);
    attempts[0]!.lose();
    clock.advance(baseMs / 4 - 1);
    expect(attempts).toHaveLength(1);
    clock.advance(1);
    expect(attempts).toHaveLength(2);
  });

  it("one that is cut at once each time counts as a failure, and backs off", async () => {
    attempts[0]!.lose();
    for (const waitMs of [50, 100, 200, 400, 500, 500]) {
      clock.advance(waitMs - 1);
      const count = attempts.length;
      clock.advance(1);
      expect(attempts).toHaveLength(count + 1);
      await attempts.at(-1)!.succeed();
      attempts.at(-1)!.lose();
    }
  });

  it("A95: a server that refuses a write, since it is a replica, is left for another connection", async () => {
    link.leaveReplica(READONLY);
    expect(attempts[0]!.isDestroyed).toBe(true);
    clock.advance(50);
    expect(attempts).toHaveLength(2);
  });

  it("a connection that leads to a replica again is kept for ten seconds", async () => {
    link.leaveReplica(READONLY);
    clock.advance(50);
    await attempts[1]!.succeed();
    clock.advance(9_949);
    link.leaveReplica(READONLY);
    expect(attempts[1]!.isDestroyed).toBe(false);
    clock.advance(1);
    link.leaveReplica(READONLY);
    expect(attempts[1]!.isDestroyed).toBe(true);
  });
});

describe("a connection that is replaced when it is used", () => {
  let hasListeners: boolean;
  const open = async (): Promise<void> => {
    hasListeners = false;
    start({ reconnects: "used" }, () => hasListeners);
    void link.connect();
    await attempts[0]!.succeed();
    void request("GET 1");
    await attempts[0]!.wire.reply("one");
  };
  beforeEach(open);

  it("and was closed while it was not in use, is replaced by the next call, which waits for it", async () => {
    clock.advance(1_000);
    attempts[0]!.lose();
    expect([link.state, attempts[0]!.isDestroyed]).toEqual(["idle", true]);
    clock.advance(3_600_000);
    await flush();
    expect(attempts).toHaveLength(1);
    const call = request("GET 2");
    await attempts[1]!.succeed();
    await attempts[1]!.wire.reply("two");
    expect([await call, link.state]).toEqual(["two", "up"]);
  });

  it("a call that finds no server then fails at once, and from then on calls are refused until there is one", async () => {
    clock.advance(1_000);
    attempts[0]!.lose();
    const call = request("GET 2");
    await attempts[1]!.fail();
    expect(await outcome(call)).toMatchObject({ status: "rejected", reason: { maybeExecuted: false } });
    expect([link.state, await outcome(request("GET 3"))]).toMatchObject(["down", { status: "rejected" }]);
    clock.advance(100);
    expect(attempts).toHaveLength(3);
  });

  it.for<readonly [string, () => void, number]>([
    ["a call is in flight", () => void request("GET 2"), 1_000],
    ["the last call was less than a second ago", () => undefined, 999],
    ["changes are received over it", () => void (hasListeners = true), 1_000],
  ])("A15: but without a call while %s", ([, use, idleMs]) => {
    use();
    clock.advance(idleMs);
    attempts[0]!.lose();
    expect(link.state).toBe("down");
    clock.advance(100);
    expect(attempts).toHaveLength(2);
  });
});

describe("a silent connection", () => {
  beforeEach(async () => {
    void link.connect();
    await attempts[0]!.succeed();
  });

  it("A12: is sent a PING, and given up after two deadlines without any answer", async () => {
    const call = request("GET 1");
    clock.advance(1_000);
    await expect(call).rejects.toMatchObject({ maybeExecuted: true });
    expect(attempts[0]!.wire.sent).toEqual(["GET 1", "PING"]);
    clock.advance(999);
    expect(attempts[0]!.isDestroyed).toBe(false);
    clock.advance(1);
    await flush();
    expect(attempts[0]!.isDestroyed).toBe(true);
    clock.advance(100);
    expect(attempts).toHaveLength(2);
  });

  it("one that answers anything stays: a slow command is not a reason to give it up", async () => {
    void request("KEYS *");
    clock.advance(1_000);
    await flush();
    await attempts[0]!.wire.reply([]);
    await attempts[0]!.wire.reply("PONG");
    clock.advance(60_000);
    await flush();
    expect(attempts[0]!.isDestroyed).toBe(false);
    expect(attempts[0]!.wire.sent).toEqual(["KEYS *", "PING"]);
  });

  it("short deadlines do not make a pause of the server a loss", async () => {
    start({ responseTimeoutMs: 50 });
    void link.connect();
    await attempts[0]!.succeed();
    void request("GET 1");
    for (let ms = 0; ms < 950; ms += 50) {
      clock.advance(50);
      await flush();
    }
    expect(attempts[0]!.isDestroyed).toBe(false);
    clock.advance(50);
    expect(attempts[0]!.isDestroyed).toBe(true);
  });

  it("C116: no PING is sent on a connection that is not used", async () => {
    clock.advance(3_600_000);
    await flush();
    expect(attempts[0]!.wire.sent).toEqual([]);
  });

  it("is noticed also when it is full", async () => {
    start({ maxInFlight: 2 });
    void link.connect();
    await attempts[0]!.succeed();
    for (const command of ["1", "2", "3"]) void request(command);
    clock.advance(2_000);
    expect(attempts[0]!.isDestroyed).toBe(true);
  });
});

describe("ready()", () => {
  const ready = (): Promise<void> => {
    const waiting = link.ready();
    waiting.catch(() => undefined);
    return waiting;
  };

  it("starts the first attempt, and leaves all others to the back-off, however many fail", async () => {
    const ready = link.ready();
    expect(attempts).toHaveLength(1);
    await attempts[0]!.fail();
    const later = link.ready();
    expect(await outcome(ready)).toEqual({ status: "pending" });
    for (let i = 1; i < 5; i++) {
      clock.advance(1_000);
      expect(attempts).toHaveLength(i + 1);
      if (i < 4) await attempts[i]!.fail();
    }
    expect(await outcome(later)).toEqual({ status: "pending" });
    await attempts[4]!.succeed();
    expect(await outcome(ready)).toMatchObject({ status: "fulfilled" });
    expect(await outcome(later)).toMatchObject({ status: "fulfilled" });
    expect(await outcome(link.ready())).toMatchObject({ status: "fulfilled" });
    expect(attempts).toHaveLength(5);
  });

  it("does not start an attempt before it is due, after a loss", async () => {
    void link.connect();
    await attempts[0]!.succeed();
    attempts[0]!.lose();
    const ready = link.ready();
    expect(attempts).toHaveLength(1);
    clock.advance(100);
    expect(attempts).toHaveLength(2);
    await attempts[1]!.succeed();
    expect(await outcome(ready)).toMatchObject({ status: "fulfilled" });
  });

  it("rejects when connecting is refused, given up, or closed", async () => {
    const refused = ready();
    await attempts[0]!.fail(false);
    await expect(refused).rejects.toMatchObject({ retryable: false });
    await expect(link.ready()).rejects.toMatchObject({ retryable: false });
    expect(attempts).toHaveLength(1);

    start({ retries: 1 });
    const givenUp = ready();
    await attempts[0]!.fail();
    await expect(givenUp).rejects.toMatchObject({ retryable: true });

    start();
    const ended = ready();
    const closing = link.close();
    await expect(ended).rejects.toMatchObject({ retryable: false });
    await attempts[0]!.fail();
    await closing;
    await expect(link.ready()).rejects.toMatchObject({ retryable: false });
  });
});

describe("an observer", () => {
  it("C86: is notified of a loss in the same tick, before commands in flight reject", async () => {
    void link.connect();
    await attempts[0]!.succeed();
    expect(notified).toEqual(["up"]);
    const order: string[] = [];
    request("GET 1").catch(() => order.push(`rejected after ${notified.length}`));
    attempts[0]!.lose();
    expect(notified).toEqual(["up", expect.stringContaining("ECONNRESET")]);
    await flush();
    expect(order).toEqual(["rejected after 2"]);
    clock.advance(100);
    await attempts[1]!.succeed();
    expect(notified).toHaveLength(3);
    await link.close();
    expect(notified).toEqual(["up", expect.any(String), "up", expect.stringContaining("closed")]);
  });

  it("is notified of a connection that was lost before it could be used", async () => {
    const ready = link.ready();
    attempts[0]!.isLostAtOnce = true;
    await attempts[0]!.succeed();
    expect(notified).toEqual(["up", expect.stringContaining("ECONNRESET")]);
    expect(await outcome(ready)).toEqual({ status: "pending" });
    clock.advance(1_000);
    await attempts[1]!.succeed();
    expect(await outcome(ready)).toMatchObject({ status: "fulfilled" });
  });
});

describe("close", () => {
  it("A18: lets commands in flight finish, then destroys the connection; later calls are refused", async () => {
    void link.connect();
    await attempts[0]!.succeed();
    const call = request("GET 1");
    const closing = link.close();
    expect(link.close()).toBe(closing);
    expect(await outcome(closing)).toEqual({ status: "pending" });
    expect(attempts[0]!.isDestroyed).toBe(false);
    await attempts[0]!.wire.reply("one");
    await closing;
    expect(await call).toBe("one");
    expect(attempts[0]!.isDestroyed).toBe(true);
    expect(await outcome(request("GET 2"))).toMatchObject({
      status: "rejected",
      reason: { retryable: false, maybeExecuted: false },
    });
    await expect(link.connect()).rejects.toBeInstanceOf(BackendUnavailableError);
    expect(attempts).toHaveLength(1);
  });

  it("A18: does not wait longer than a deadline", async () => {
    void link.connect();
    await attempts[0]!.succeed();
    const call = request("GET 1");
    const closing = link.close();
    await flush();
    clock.advance(1_000);
    await closing;
    expect(attempts[0]!.isDestroyed).toBe(true);
    await expect(call).rejects.toBeInstanceOf(BackendUnavailableError);
  });

  it("ends an attempt under way and a retry that is due", async () => {
    const call = request("GET 1");
    const closing = link.close();
    expect(attempts[0]!.aborted.aborted).toBe(true);
    await attempts[0]!.fail();
    await closing;
    await expect(call).rejects.toBeInstanceOf(BackendUnavailableError);

    start();
    void request("GET 1");
    await attempts[0]!.fail();
    await link.close();
    clock.advance(60_000);
    await flush();
    expect(attempts).toHaveLength(1);
  });

  it("destroys a connection that was opened too late", async () => {
    const connecting = link.connect();
    connecting.catch(() => undefined);
    const closing = link.close();
    await attempts[0]!.succeed();
    await closing;
    await expect(connecting).rejects.toBeInstanceOf(BackendUnavailableError);
    expect(attempts[0]!.isDestroyed).toBe(true);
  });

  it("does nothing to one that was never needed", async () => {
    await link.close();
    expect(attempts).toHaveLength(0);
  });
});
