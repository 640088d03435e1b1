import { setTimeout as sleep } from "node:timers/promises";
import { forkScript, startCluster, type ScriptProcess, type TestCluster } from "@hotset/test-servers";
import type { Hunt } from "./hunt.ts";
import type { Found, SessionWorker } from "./session-worker.ts";

const SCRIPT = new URL("./session-worker.ts", import.meta.url);
const WORKERS = 3;
/** Calls under way. */
const LANES = 30;
const USERS = 6;
const LIVE = 60;
const FIELDS = ["a", "b", "c"];
const KILL_EACH_MS = 3_000;
/** Each command is on the disk before its reply: a node that was killed has what it has confirmed. */
const CONFIG = ["appendonly yes", "appendfsync always"];

/** The oracle's knowledge about one id. */
interface Tracked {
  readonly id: string;
  readonly userId: string;
  /** Shared by all ids that a session has had. */
  readonly counters: Map<string, Counter>;
  /** A call that may end it has begun. */
  mayEnd: boolean;
  /** An end of all sessions of its user has begun, which would end it under later ids, too. */
  mayBeExpelled: boolean;
  /** A call that ends it was confirmed, or a call found that it has ended. */
  hasEnded: boolean;
}

interface Counter {
  attempted: number;
  confirmed: number;
  isBeingWritten: boolean;
}

/**
 * A81, A82 and C242: three processes create, read, change, move and end sessions of a few users, while nodes of the
 * cluster are killed. A session that has ended stays so, each confirmed change of a field is there, and no session is
 * lost.
 */
export const hunt: Hunt = async ({ minutes, seed }) => {
  await using stack = new AsyncDisposableStack();
  const cluster = await startCluster({ replicas: 0, config: CONFIG });
  stack.defer(() => cluster.stop());
  const workers = Array.from({ length: WORKERS }, () =>
    stack.use(forkScript<SessionWorker>(SCRIPT, { callTimeoutMs: 60_000 })),
  );
  await Promise.all(workers.map((worker) => worker.call("open", [...cluster.urls])));
  const oracle = new Oracle(workers, randomOf(seed));
  const endAt = performance.now() + minutes * 60_000;
  const kills = killNodes(cluster, randomOf(seed + 1), endAt);
  await Promise.all(
    Array.from({ length: LANES }, async () => {
      while (performance.now() < endAt) await oracle.step();
    }),
  );
  const killed = await kills;
  await oracle.readAll();
  return `${oracle.summary()}, ${killed} nodes killed`;
};

async function killNodes(cluster: TestCluster, random: () => number, endAt: number): Promise<number> {
  let killed = 0;
  while (performance.now() < endAt - KILL_EACH_MS) {
    await sleep(KILL_EACH_MS);
    const { nodes } = cluster;
    const node = nodes[Math.floor(random() * nodes.length)]!;
    await node.kill();
    await sleep(300);
    await node.start();
    killed += 1;
  }
  return killed;
}

class Oracle {
  readonly #workers: readonly ScriptProcess<SessionWorker>[];
  readonly #random: () => number;
  readonly #sessions: Tracked[] = [];
  /** Ends of all sessions of a user that are under way, with the sessions that they end. */
  readonly #expels = new Set<{ readonly userId: string; readonly ends: Set<Tracked> }>();
  /** How many have begun. */
  #expelled = 0;
  #calls = 0;
  #unknown = 0;
  #ended = 0;
  #changes = 0;

  constructor(workers: readonly ScriptProcess<SessionWorker>[], random: () => number) {
    this.#workers = workers;
    this.#random = random;
  }

  async step(): Promise<void> {
    const live = this.#sessions.filter((session) => !session.hasEnded);
    const dice = this.#random();
    if (live.length < 10 || (live.length < LIVE && dice < 0.2)) return this.#create();
    // One in ten is any session, which has probably ended.
    const pool = this.#random() < 0.1 ? this.#sessions : live;
    const session = pool[Math.floor(this.#random() * pool.length)]!;
    if (dice < 0.0004) return this.#destroyAll(session.userId);
    if (dice < 0.004) return this.#destroy(session);
    if (dice < 0.03) return this.#regenerate(session);
    if (dice < 0.6) return this.#update(session);
    await this.#look(session, (worker) => worker.call(dice < 0.8 ? "touch" : "read", session.id));
  }

  /** After all kills. */
  async readAll(): Promise<void> {
    for (const session of this.#sessions)
      while ((await this.#look(session, (worker) => worker.call("read", session.id))) === "unknown") await sleep(50);
  }

  summary(): string {
    return (
      `${this.#calls} calls, ${this.#unknown} of unknown outcome, ${this.#sessions.length} ids, ${this.#ended} ` +
      `ended, ${this.#changes} changes confirmed`
    );
  }

  async #create(): Promise<void> {
    const userId = `user ${Math.floor(this.#random() * USERS)}`;
    const expelled = this.#expelled;
    const running = [...this.#expels].some((expel) => expel.userId === userId);
    const made = await this.#call((worker) => worker.call("create", userId));
    if (made === "unknown" || made === undefined) return;
    const counters = new Map(
      FIELDS.map((name) => [name, { attempted: 0, confirmed: 0, isBeingWritten: false }] as const),
    );
    // An end of all sessions of the user may have run during this call, or during the read.
    const session: Tracked = {
      id: made.id,
      userId,
      counters,
      mayEnd: true,
      mayBeExpelled: running,
      hasEnded: false,
    };
    await this.#look(session, (worker) => worker.call("read", session.id));
    session.mayBeExpelled ||= this.#expelled !== expelled;
    session.mayEnd = session.hasEnded || session.mayBeExpelled;
    this.#sessions.push(session);
  }

  async #destroyAll(userId: string): Promise<void> {
    const ends = new Set(this.#sessions.filter((session) => session.userId === userId));
    for (const session of ends) {
      session.mayEnd = true;
      session.mayBeExpelled = true;
    }
    this.#expelled += 1;
    const expel = { userId, ends };
    this.#expels.add(expel);
    const outcome = await this.#call((worker) => worker.call("destroyAll", userId));
    this.#expels.delete(expel);
    if (outcome !== "unknown") for (const session of ends) this.#end(session);
  }

  async #destroy(session: Tracked): Promise<void> {
    session.mayEnd = true;
    const outcome = await this.#call((worker) => worker.call("destroy", session.id));
    if (outcome !== "unknown") this.#end(session);
  }

  async #regenerate(session: Tracked): Promise<void> {
    const { hasEnded, counters, userId } = session;
    session.mayEnd = true;
    const moved = await this.#call((worker) => worker.call("regenerate", session.id));
    if (moved === "unknown") return;
    if (moved !== undefined && hasEnded) throw new Error(`${session.id} had ended, and got a new id`);
    const { mayBeExpelled } = session;
    this.#end(session);
    if (moved === undefined) return;
    const fresh: Tracked = { id: moved.id, userId, counters, mayEnd: mayBeExpelled, mayBeExpelled, hasEnded: false };
    for (const expel of this.#expels) if (expel.ends.has(session)) expel.ends.add(fresh);
    this.#sessions.push(fresh);
  }

  async #update(session: Tracked): Promise<void> {
    const name = FIELDS[Math.floor(this.#random() * FIELDS.length)]!;
    const counter = session.counters.get(name)!;
    if (counter.isBeingWritten) return;
    counter.isBeingWritten = true;
    const value = (counter.attempted += 1);
    const outcome = await this.#look(session, (worker) => worker.call("update", session.id, { [name]: value }));
    if (outcome === "there") {
      counter.confirmed = value;
      this.#changes += 1;
    }
    counter.isBeingWritten = false;
  }

  /** Compares the answer with what must be there. */
  async #look(
    session: Tracked,
    call: (worker: ScriptProcess<SessionWorker>) => Promise<Found | undefined>,
  ): Promise<"there" | "gone" | "unknown"> {
    const had = session.hasEnded;
    const least = new Map([...session.counters].map(([name, { confirmed }]) => [name, confirmed]));
    const found = await this.#call(call);
    if (found === "unknown") return "unknown";
    if (found === undefined) {
      if (!session.mayEnd) throw new Error(`${session.id} was lost`);
      this.#end(session);
      return "gone";
    }
    if (had) throw new Error(`${session.id} had ended, and is back`);
    for (const [name, confirmed] of least) {
      const value = found.data[name] ?? 0;
      const { attempted } = session.counters.get(name)!;
      if (value < confirmed || value > attempted)
        throw new Error(`${session.id}: ${name} is ${value}; ${confirmed} was confirmed, ${attempted} attempted`);
    }
    return "there";
  }

  #end(session: Tracked): void {
    if (!session.hasEnded) this.#ended += 1;
    session.mayEnd = true;
    session.hasEnded = true;
  }

  async #call<T>(run: (worker: ScriptProcess<SessionWorker>) => Promise<T>): Promise<T | "unknown"> {
    const worker = this.#workers[Math.floor(this.#random() * this.#workers.length)]!;
    this.#calls += 1;
    try {
      return await run(worker);
    } catch (error) {
      const { code } = error as { readonly code?: string };
      if (!["BACKEND_UNAVAILABLE", "TRY_AGAIN"].includes(code ?? "")) throw error;
      this.#unknown += 1;
      return "unknown";
    }
  }
}

/** Mulberry32. */
function randomOf(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
