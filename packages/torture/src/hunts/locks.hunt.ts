import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { forkScript, startSentinel, type ScriptProcess, type TestSentinel } from "@hotset/test-servers";
import { Random } from "@hotset/test-servers";
import type { Hunt } from "./hunt.ts";
import type { ContenderSettings, Grant, Handlers, Seen } from "./lock-contender.ts";

const PROCESSES = 3;
const CONTENDERS = [34, 33, 33];
const LOCKS = 5;

/**
 * 100 contenders in 3 processes for 5 locks. First processes are killed and paused, and the server is paused for less
 * than a failover takes: no two may hold a lock at once. Then primaries are killed, and forget everything now and then:
 * two may, but fences rise in the order of time, so the guarded store takes no write of a former holder.
 */
export const hunt: Hunt = async ({ minutes, seed }) => {
  const directory = mkdtempSync(join(tmpdir(), "hotset-locks-"));
  const random = new Random(seed);
  const group = await startSentinel({ downAfterMs: 1_500 });
  const store = await startStore(join(directory, "store.sock"));
  const crew = new Crew(group, directory, store.path, random);
  try {
    const halfMs = minutes * 30_000;
    const calm = await crew.hunt(halfMs, async () => {
      await crew.disturbProcess();
      if (random.oneIn(6)) await pauseServer(group, 200 + random.below(500));
    });
    expectFences(calm);
    const twice = overlaps(calm);
    if (twice.length > 0) throw new Error(`held twice without a loss of data: ${JSON.stringify(twice[0])}`);
    let failovers = 0;
    let losses = 0;
    const rough = await crew.hunt(halfMs, async () => {
      await crew.disturbProcess();
      if (random.oneIn(3)) {
        losses += 1;
        await (await group.primary()).command("FLUSHALL");
      }
      if (!random.oneIn(4)) return;
      failovers += 1;
      await failOver(group, random);
    });
    expectFences([...calm, ...rough]);
    store.check();
    return (
      `${calm.length + rough.length} grants, ${crew.kills} kills and ${crew.pauses} pauses of processes, ` +
      `${failovers} failovers, ${losses} losses of all data; ` +
      `0 fences twice or falling, 0 locks held twice before the first of these, ${overlaps(rough).length} after it; ` +
      `the store took ${store.taken} writes and refused ${store.refused}`
    );
  } finally {
    await crew.end();
    store.server.close();
    await group.stop();
    rmSync(directory, { recursive: true });
  }
};

/** The processes of one hunt. */
class Crew {
  kills = 0;
  pauses = 0;
  readonly #group: TestSentinel;
  readonly #directory: string;
  readonly #store: string;
  readonly #random: Random;
  #journals = 0;
  #processes: ScriptProcess<Handlers>[] = [];

  constructor(group: TestSentinel, directory: string, store: string, random: Random) {
    this.#group = group;
    this.#directory = directory;
    this.#store = store;
    this.#random = random;
  }

  /** @returns all grants of this time, with the last instant at which each was seen to be held */
  async hunt(ms: number, disturb: () => Promise<void>): Promise<readonly Holding[]> {
    const first = this.#journals;
    this.#processes = Array.from({ length: PROCESSES }, (_, slot) => this.#start(slot));
    const endAt = performance.now() + ms;
    while (performance.now() < endAt) {
      await sleep(100 + this.#random.below(300));
      await disturb();
    }
    await Promise.all(this.#processes.map((each) => each.call("stop").then(() => each.kill())));
    return readJournals(this.#directory, first);
  }

  async disturbProcess(): Promise<void> {
    const slot = this.#random.below(PROCESSES);
    if (this.#random.oneIn(3)) {
      this.kills += 1;
      await this.#processes[slot]!.kill();
      this.#processes[slot] = this.#start(slot);
    } else {
      this.pauses += 1;
      this.#processes[slot]!.pause();
      // Often longer than a ttl.
      await sleep(100 + this.#random.below(1_500));
      this.#processes[slot]!.resume();
    }
  }

  async end(): Promise<void> {
    await Promise.all(this.#processes.map((each) => each.kill()));
  }

  #start(slot: number): ScriptProcess<Handlers> {
    const each = forkScript<Handlers>(new URL("lock-contender.ts", import.meta.url), { callTimeoutMs: 30_000 });
    const settings: ContenderSettings = {
      sentinels: this.#group.sentinels.map(({ url }) => url),
      primaryName: this.#group.name,
      store: this.#store,
      journal: join(this.#directory, journalName(this.#journals++)),
      contenders: CONTENDERS[slot]!,
      locks: LOCKS,
      seed: this.#random.below(2 ** 30),
    };
    // A process that is killed does not answer.
    each.call("start", settings).catch(() => undefined);
    return each;
  }
}

async function pauseServer(group: TestSentinel, ms: number): Promise<void> {
  const primary = await group.primary();
  primary.pause();
  await sleep(ms);
  primary.resume();
}

/** The former primary is killed, or stopped until another took over and then continues as if nothing had happened. */
async function failOver(group: TestSentinel, random: Random): Promise<void> {
  const former = await group.primary();
  if (random.oneIn(2)) {
    await former.kill();
    await group.waitForPrimary(former, 60_000);
    await group.rejoin(former);
  } else {
    former.pause();
    await group.waitForPrimary(former, 60_000);
    former.resume();
    await sleep(500);
    await group.rejoin(former);
  }
}

interface Holding {
  readonly lock: number;
  readonly token: string;
  readonly fence: number;
  readonly startedAt: bigint;
  readonly grantedAt: bigint;
  readonly heldAt: bigint;
}

const journalName = (index: number): string => `journal-${String(index).padStart(6, "0")}`;

function readJournals(directory: string, first: number): readonly Holding[] {
  const holdings = new Map<string, Holding>();
  for (const file of readdirSync(directory).toSorted()) {
    if (!file.startsWith("journal-") || file < journalName(first)) continue;
    for (const line of readFileSync(join(directory, file), "utf8").split("\n")) {
      // The last line of a process that was killed may be half written.
      if (!line.endsWith("}")) continue;
      const entry = JSON.parse(line) as Grant | Seen;
      if ("fence" in entry) {
        const grantedAt = BigInt(entry.grantedAt);
        holdings.set(entry.token, { ...entry, startedAt: BigInt(entry.startedAt), grantedAt, heldAt: grantedAt });
      } else holdings.set(entry.token, { ...holdings.get(entry.token)!, heldAt: BigInt(entry.heldAt) });
    }
  }
  return Array.from(holdings.values());
}

/** A grant that was asked for after another had been given has the greater fence; none is given twice. */
function expectFences(holdings: readonly Holding[]): void {
  for (const [lock, all] of byLock(holdings)) {
    const fences = new Set(all.map(({ fence }) => fence));
    if (fences.size !== all.length)
      throw new Error(`lock ${lock}: ${all.length - fences.size} fences were given twice`);
    const granted = all.toSorted((a, b) => (a.grantedAt < b.grantedAt ? -1 : 1));
    let next = 0;
    let greatest: Holding | undefined;
    for (const later of all.toSorted((a, b) => (a.startedAt < b.startedAt ? -1 : 1))) {
      for (; next < granted.length && granted[next]!.grantedAt < later.startedAt; next += 1)
        if (greatest === undefined || granted[next]!.fence > greatest.fence) greatest = granted[next];
      if (greatest !== undefined && later.fence <= greatest.fence)
        throw new Error(`lock ${lock}: the fence ${later.fence} came after ${greatest.fence}`);
    }
  }
}

/** Pairs of holders of which one was granted the lock while the other still found it valid. */
function overlaps(holdings: readonly Holding[]): readonly object[] {
  const found: object[] = [];
  for (const [lock, all] of byLock(holdings)) {
    const order = all.toSorted((a, b) => (a.grantedAt < b.grantedAt ? -1 : 1));
    let last: Holding | undefined;
    for (const each of order) {
      if (last !== undefined && each.grantedAt < last.heldAt) found.push({ lock, fences: [last.fence, each.fence] });
      if (last === undefined || each.heldAt > last.heldAt) last = each;
    }
  }
  return found;
}

const byLock = (holdings: readonly Holding[]): ReadonlyMap<number, readonly Holding[]> =>
  Map.groupBy(holdings, ({ lock }) => lock);

interface Store {
  readonly path: string;
  readonly server: Server;
  taken: number;
  refused: number;
  check(): void;
}

/** The store that the locks guard: outside Redis, one row for each lock. It refuses a fence smaller than the last. */
async function startStore(path: string): Promise<Store> {
  const rows = new Map<string, number>();
  const store: Store = {
    path,
    taken: 0,
    refused: 0,
    server: createServer((socket) => {
      socket.on("error", () => undefined);
      createInterface({ input: socket }).on("line", (line) => {
        const [lock, fence] = line.split(" ") as [string, string];
        if (Number(fence) < (rows.get(lock) ?? 0)) store.refused += 1;
        else {
          store.taken += 1;
          rows.set(lock, Number(fence));
        }
      });
    }),
    check: () => {
      // Careless holders write after their time: a hunt that met none has hunted nothing.
      if (store.taken === 0 || store.refused === 0)
        throw new Error(`the store took ${store.taken} writes and refused ${store.refused}`);
    },
  };
  await new Promise<void>((resolve) => store.server.listen(path, resolve));
  return store;
}
