/**
 * The end of a lease that stores nothing, and those who wait for it. Each step is one script, so the orders of steps
 * are all the interleavings there are; but over strings a waiter sends a plain command before its script.
 */
import { json, type StoredEntry } from "@hotset/core";
import { redis, type RedisBackend } from "@hotset/redis";
import { startOwnRedis, startProxy } from "@hotset/test-servers";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { RecordingListener } from "./recording-listener.ts";

const KEY = "shop::user:1";
const MINUTE = 60_000;

const server = await startOwnRedis();
afterAll(() => server.stop());
beforeEach(() => server.command("FLUSHALL"));

/** That of a placeholder, which is in the place of the entry, of a lease, and of its end as it is announced. */
const REPORTS: readonly string[] = [`changed ${KEY}`, `lease exact ${KEY}`, `lease loose ${KEY}`];

const LAYOUTS = ["full", "string"] as const;
type Layout = (typeof LAYOUTS)[number];
type Mode = "tracking" | "pubsub";

/** A process that may hold the lease, or wait for it. */
class Process {
  readonly #backend: RedisBackend;
  readonly #listener = new RecordingListener();
  readonly #token: string;
  readonly #mode: Mode;

  constructor(token: string, { layout, mode, url }: { readonly layout: Layout; readonly mode: Mode; url: string }) {
    this.#token = token;
    this.#mode = mode;
    this.#backend = redis(url).valueFormat(json()).layout(layout).coherence(mode).responseTimeout("10s").build();
  }

  async attach(): Promise<void> {
    await this.#backend.coherence!.attach(this.#listener);
  }

  write(entry: StoredEntry): Promise<void> {
    return this.#backend.write(KEY, entry);
  }

  /** @returns whether it is granted. Messages count from then on. */
  async acquire(seen: string): Promise<boolean> {
    // Messages come over another connection: earlier ones are waited for. It reads, so not where a read counts.
    if (this.#mode === "pubsub") await this.#backend.leases!.confirm(KEY);
    const { granted } = await this.#backend.leases!.acquire({ key: KEY, token: this.#token, leaseMs: MINUTE, seen });
    this.#listener.take();
    return granted;
  }

  release(): Promise<void> {
    return this.#backend.leases!.release(KEY, this.#token);
  }

  /** How often it was woken since its {@link acquire}. */
  async wakes(): Promise<number> {
    // Resolves after the messages of all changes acknowledged before.
    await this.#backend.leases!.confirm(KEY);
    const received = this.#listener.take();
    if (received.some((line) => !REPORTS.includes(line))) throw new Error(received.join(", "));
    return received.length;
  }

  close(): Promise<void> {
    return this.#backend.close();
  }
}

/** The holder may release again, by a command that is late: it must end no other lease, and wake no waiter. */
const STEPS = ["release", "release", "first", "second"] as const;
type Step = (typeof STEPS)[number];

function ordersOf(steps: readonly Step[]): readonly (readonly Step[])[] {
  if (steps.length === 0) return [[]];
  return [...new Set(steps)].flatMap((step) => {
    const at = steps.indexOf(step);
    return ordersOf(steps.toSpliced(at, 1)).map((rest) => [step, ...rest]);
  });
}

/** How often each waiter that is refused has been woken once all leases are released. */
function expected(order: readonly Step[], mode: Mode): Record<string, number> {
  const wakes: Record<string, number> = {};
  const waiting = new Set<string>();
  let holder: string | undefined = "holder";
  const freed = (): void => {
    holder = undefined;
    for (const name of waiting) wakes[name]! += 1;
    // Redis pushes one change to those who have read; a channel brings each.
    if (mode === "tracking") waiting.clear();
  };
  for (const step of order) {
    if (step === "release") {
      if (holder === "holder") freed();
    } else if (holder === undefined) {
      holder = step;
    } else {
      waiting.add(step);
      wakes[step] = 0;
    }
  }
  if (holder !== undefined) freed();
  return wakes;
}

const ENTRY: StoredEntry = {
  data: Buffer.from("v"),
  staleInMs: MINUTE,
  expiresInMs: 10 * MINUTE,
  meta: "json none",
  version: "before",
};

describe.each(LAYOUTS)("layout %s", (layout) => {
  describe.each(["tracking", "pubsub"] as const)(
    "%s: a release wakes each waiter once, in every order of steps",
    (mode) => {
      const processes: Record<"holder" | "first" | "second", Process> = {} as never;
      beforeEach(async () => {
        for (const name of ["holder", "first", "second"] as const)
          processes[name] = new Process(name, { layout, mode, url: server.url });
        await Promise.all(Object.values(processes).map((each) => each.attach()));
      });
      afterEach(() => Promise.all(Object.values(processes).map((each) => each.close())));

      it.each([
        ["nothing", undefined],
        ["an entry", ENTRY],
        ["an entry without an end", { ...ENTRY, staleInMs: Infinity, expiresInMs: Infinity }],
      ] as const)("over %s", async (_, entry) => {
        for (const order of ordersOf(STEPS)) {
          await server.command("FLUSHALL");
          if (entry !== undefined) await processes.holder.write(entry);
          const seen = entry?.version ?? "";
          expect(await processes.holder.acquire(seen)).toBe(true);
          const granted = new Set<"first" | "second">();
          for (const step of order) {
            if (step === "release") await processes.holder.release();
            else if (await processes[step].acquire(seen)) granted.add(step);
          }
          for (const name of granted) await processes[name].release();
          const wakes: Record<string, number> = {};
          for (const name of ["first", "second"] as const)
            if (!granted.has(name)) wakes[name] = await processes[name].wakes();
          expect([order, wakes]).toEqual([order, expected(order, mode)]);
          expect(await processes.first.acquire(seen)).toBe(true);
          await processes.first.release();
        }
      });
    },
  );
});

it("over strings a lease that is released between a waiter's two commands is granted to it", async () => {
  await using proxy = await startProxy(server.port);
  const holder = new Process("holder", { layout: "string", mode: "tracking", url: server.url });
  const waiter = new Process("waiter", { layout: "string", mode: "tracking", url: proxy.url });
  await Promise.all([holder.attach(), waiter.attach()]);
  expect(await holder.acquire("")).toBe(true);
  // Its SET NX was refused; now it asks the script, which reads the key.
  const held = proxy.hold((command) => command.includes("waiter") && command[0] === "EVALSHA");
  const asked = waiter.acquire("");
  await held.reached;
  await holder.release();
  held.release();
  expect(await asked).toBe(true);
  await Promise.all([holder.close(), waiter.close()]);
});
