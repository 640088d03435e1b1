import type { Servers } from "@hotset/redis/internal";
import { flush, gate, outcome, TestClock } from "@hotset/testing";
import { beforeEach, describe, expect, it } from "vitest";
import type { Args, ExclusiveConnection, OpenOptions } from "./contract.ts";
import type { SessionConnection } from "./dedicated.ts";
import { ConnectionPool } from "./pool.ts";

/** A socket that answers everything with its name. */
class ScriptedConnection {
  readonly sent: string[] = [];
  readonly #lost = new Set<() => void>();
  isOpen = true;
  isBusy = false;
  refusesReset = false;

  readonly address: string;

  constructor(address: string) {
    this.address = address;
  }

  async call([name]: Args): Promise<unknown> {
    this.sent.push(String(name));
    if (this.refusesReset && name === "DISCARD") throw new Error("ERR DISCARD without MULTI");
    return String(name);
  }

  async burst(commands: readonly Args[]): Promise<readonly unknown[]> {
    return Promise.all(commands.map((args) => this.call(args)));
  }

  onLost(listener: () => void): () => void {
    this.#lost.add(listener);
    return () => this.#lost.delete(listener);
  }

  get listeners(): number {
    return this.#lost.size;
  }

  lose(): void {
    this.isOpen = false;
    for (const listener of this.#lost) listener();
  }

  async close(): Promise<void> {
    this.isOpen = false;
  }
}

const nothing = (): Promise<void> => flush();

let clock: TestClock;
let opened: ScriptedConnection[];
let requests: OpenOptions[];

/** Keys that begin with `a` or `b` lie on that node. */
function poolOf(settings: { max?: number; waitMs?: number; idleMs?: number } = {}): ConnectionPool {
  const servers = { nodeOf: (key?: string | Buffer) => key?.toString()[0] } as unknown as Servers;
  const open = async (options: OpenOptions): Promise<SessionConnection> => {
    requests.push(options);
    opened.push(new ScriptedConnection(options.key?.toString()[0] ?? "any"));
    return opened.at(-1) as unknown as SessionConnection;
  };
  return new ConnectionPool(servers, open, { max: 2, waitMs: 100, idleMs: 1_000, ...settings, clock });
}

beforeEach(() => {
  clock = new TestClock();
  [opened, requests] = [[], []];
});

describe("what a caller leaves behind", () => {
  it.each<readonly [string, readonly Args[], readonly string[]]>([
    ["an open transaction is discarded", [["MULTI"], ["SET", "k", "v"]], ["MULTI", "SET", "DISCARD"]],
    ["watched keys are unwatched", [["WATCH", "k"]], ["WATCH", "UNWATCH"]],
    ["a transaction that has ended is left alone", [["MULTI"], ["EXEC"]], ["MULTI", "EXEC"]],
  ])("%s, sent in calls or in a burst", async (_, commands, sent) => {
    const pool = poolOf();
    await pool.use(async (connection) => {
      for (const args of commands) await connection.call(args);
    });
    expect(opened.map((each) => each.sent)).toEqual([sent]);
    await pool.use((connection) => connection.burst(commands));
    expect(opened.map((each) => each.sent)).toEqual([[...sent, ...sent]]);
    expect(pool.status).toEqual({ size: 1, idle: 1, inUse: 0, waiting: 0 });
  });

  it("a socket in another state is closed, whether a call or a burst brought it there", async () => {
    const pool = poolOf();
    await pool.use((connection) => connection.call(["SELECT", "1"]));
    await pool.use((connection) => connection.burst([["PING"], ["SELECT", "1"]]));
    expect(opened.map(({ isOpen }) => isOpen)).toEqual([false, false]);
    expect(pool.status).toEqual({ size: 0, idle: 0, inUse: 0, waiting: 0 });
  });

  it("a socket that does not become as it was is closed, and the next caller has its turn", async () => {
    const pool = poolOf({ max: 1 });
    const door = gate();
    const using = pool.use(async (connection) => {
      opened[0]!.refusesReset = true;
      await connection.call(["MULTI"]);
      await door.pass();
    });
    await door.arrived(1);
    const next = pool.use((connection) => connection.call(["PING"]));
    door.open();
    await Promise.all([using, next]);
    expect(opened.map(({ isOpen, sent }) => `${isOpen} ${sent.join(" ")}`)).toEqual([
      "false MULTI DISCARD",
      "true PING",
    ]);
    expect(pool.status).toEqual({ size: 1, idle: 1, inUse: 0, waiting: 0 });
  });

  it("a socket with a command in flight is closed", async () => {
    const pool = poolOf();
    await pool.use(async () => void (opened[0]!.isBusy = true));
    expect(opened[0]!.isOpen).toBe(false);
    expect(pool.status.size).toBe(0);
  });

  it("refuses calls and bursts over a socket that was given back, and sends nothing of them", async () => {
    const pool = poolOf();
    let kept: ExclusiveConnection | undefined;
    await pool.use(async (connection) => void (kept = connection));
    const [call, burst] = await Promise.all([outcome(kept!.call(["PING"])), outcome(kept!.burst([["PING"]]))]);
    const refused = { code: "BACKEND_UNAVAILABLE", operation: "pool", maybeExecuted: false };
    expect(call).toMatchObject({ status: "rejected", reason: refused });
    expect(burst).toMatchObject({ status: "rejected", reason: refused });
    expect(opened[0]!.sent).toEqual([]);
  });
});

describe("sockets that are kept", () => {
  it("the one used last is used first, and after idleMs each is closed", async () => {
    const pool = poolOf();
    await Promise.all([pool.use(nothing), pool.use(nothing)]);
    expect(pool.status).toMatchObject({ size: 2, idle: 2 });
    clock.advance(999);
    await pool.use((connection) => connection.call(["PING"]));
    expect(opened.map(({ sent }) => sent)).toEqual([[], ["PING"]]);
    clock.advance(1);
    expect(opened.map(({ isOpen }) => isOpen)).toEqual([false, true]);
    clock.advance(999);
    expect(pool.status.size).toBe(0);
    expect(opened[1]!.isOpen).toBe(false);
  });

  it("one that is lost leaves at once, and the timer and the listener of one that is used again are gone", async () => {
    const pool = poolOf();
    await pool.use(nothing);
    opened[0]!.lose();
    expect(pool.status.size).toBe(0);
    await pool.use(nothing);
    const door = gate();
    const using = pool.use(door.pass);
    await door.arrived(1);
    expect(opened).toHaveLength(2);
    expect(opened[1]!.listeners).toBe(0);
    clock.advance(5_000);
    expect(opened[1]!.isOpen).toBe(true);
    door.open();
    await using;
  });

  it("serve keys of their own node alone; where none fits, the oldest is closed", async () => {
    const pool = poolOf();
    await Promise.all([pool.use(nothing, { key: "a1" }), pool.use(nothing, { key: "b1" })]);
    await pool.use(nothing, { key: "a2" });
    expect(opened.map(({ address }) => address)).toEqual(["a", "b"]);
    await pool.use(nothing, { key: "c1" });
    expect(opened.map(({ address, isOpen }) => `${address} ${isOpen}`)).toEqual(["a true", "b false", "c true"]);
    expect(requests).toEqual([{ key: "a1" }, { key: "b1" }, { key: "c1" }]);
    const { signal } = new AbortController();
    await pool.use(nothing, { key: "d1", signal });
    await poolOf().use(nothing);
    expect(requests.slice(3)).toEqual([{ key: "d1", signal }, {}]);
  });

  it("after close nothing is kept, and every caller is refused", async () => {
    const pool = poolOf();
    const door = gate();
    await Promise.all([pool.use(nothing), pool.use(nothing)]);
    const using = pool.use(door.pass);
    await door.arrived(1);
    expect(pool.status).toEqual({ size: 2, idle: 1, inUse: 1, waiting: 0 });
    const inUse = pool.use(door.pass);
    await door.arrived(2);
    const waiting = outcome(pool.use(nothing));
    expect(pool.status).toEqual({ size: 2, idle: 0, inUse: 2, waiting: 1 });
    pool.close();
    const refused = { status: "rejected", reason: { code: "BACKEND_UNAVAILABLE", retryable: false } };
    expect(await waiting).toMatchObject(refused);
    expect(await outcome(pool.use(nothing))).toMatchObject(refused);
    door.open();
    await Promise.all([using, inUse]);
    expect(opened.map(({ isOpen }) => isOpen)).toEqual([false, false]);
    expect(pool.status).toEqual({ size: 0, idle: 0, inUse: 0, waiting: 0 });
  });
});

it("close also closes what nothing uses", async () => {
  const pool = poolOf();
  await pool.use(nothing);
  pool.close();
  expect(opened[0]!.isOpen).toBe(false);
  expect(pool.status.size).toBe(0);
});

describe("callers in line", () => {
  it("have their turns in order, and are refused after waitMs, their own or that of the pool", async () => {
    const pool = poolOf({ max: 1 });
    const door = gate();
    const using = pool.use(door.pass);
    await door.arrived(1);
    const order: string[] = [];
    const inLine = ["first", "second"].map((name) => pool.use(async () => order.push(name), { waitMs: 1_000 }));
    const [short, long] = [outcome(pool.use(nothing, { waitMs: 99 })), outcome(pool.use(nothing))];
    expect(pool.status.waiting).toBe(4);
    clock.advance(99);
    expect(await short).toMatchObject({
      status: "rejected",
      reason: {
        code: "OVERLOADED",
        message: "redis: no connection of the pool: all 1 are in use, and none became free within 99 ms; see pool.max",
      },
    });
    expect(pool.status.waiting).toBe(3);
    clock.advance(1);
    expect(await long).toMatchObject({ status: "rejected", reason: { code: "OVERLOADED" } });
    door.open();
    await Promise.all([using, ...inLine]);
    expect(order).toEqual(["first", "second"]);
    expect(pool.status).toEqual({ size: 1, idle: 1, inUse: 0, waiting: 0 });
  });

  it("leave no timer and no listener behind, however they leave", async () => {
    const pool = poolOf({ max: 1 });
    const door = gate();
    const using = pool.use(door.pass);
    await door.arrived(1);
    const timers = countTimers(clock);
    const leaving = [new AbortController(), new AbortController()] as const;
    const listeners = leaving.map(({ signal }) => countListeners(signal));
    const aborted = outcome(pool.use(nothing, { signal: leaving[0].signal }));
    const admitted = pool.use(nothing, { signal: leaving[1].signal });
    expect([timers(), ...listeners.map((count) => count())]).toEqual([2, 1, 1]);
    leaving[0].abort(new Error("enough"));
    expect(await aborted).toMatchObject({ status: "rejected", reason: { message: "enough" } });
    expect([timers(), ...listeners.map((count) => count())]).toEqual([1, 0, 1]);
    expect(pool.status.waiting).toBe(1);
    door.open();
    await Promise.all([using, admitted]);
    // That of the socket which is kept.
    expect([timers(), ...listeners.map((count) => count())]).toEqual([1, 0, 0]);
  });

  it("are 10,000 at most", async () => {
    const pool = poolOf({ max: 1 });
    const door = gate();
    const using = pool.use(door.pass);
    const inLine = Array.from({ length: 10_000 }, () => outcome(pool.use(nothing)));
    expect(pool.status.waiting).toBe(10_000);
    expect(await outcome(pool.use(nothing))).toMatchObject({
      reason: {
        code: "OVERLOADED",
        message: "redis: no connection of the pool: all 1 are in use, and 10000 callers wait; see pool.max",
      },
    });
    clock.advance(100);
    await Promise.all(inLine);
    expect(pool.status.waiting).toBe(0);
    door.open();
    await using;
  });

  it("with a signal that is aborted already count nowhere", async () => {
    const pool = poolOf();
    const signal = AbortSignal.abort(new Error("enough"));
    expect(await outcome(pool.use(nothing, { signal }))).toMatchObject({ reason: { message: "enough" } });
    expect(pool.status).toEqual({ size: 0, idle: 0, inUse: 0, waiting: 0 });
  });
});

/** Timers that were set from now on, and have neither run nor been cancelled. */
function countTimers(counted: TestClock): () => number {
  const set = new Set<object>();
  const schedule = counted.schedule.bind(counted);
  counted.schedule = (callback, delayMs) => {
    const timer = {};
    set.add(timer);
    const cancel = schedule(() => {
      set.delete(timer);
      callback();
    }, delayMs);
    return () => {
      set.delete(timer);
      cancel();
    };
  };
  return () => set.size;
}

function countListeners(signal: AbortSignal): () => number {
  const set = new Set<unknown>();
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    set.add(args[1]);
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    set.delete(args[1]);
    removeEventListener.apply(signal, args);
  };
  return () => set.size;
}
