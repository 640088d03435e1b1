import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { forkScript, startOwnRedis, type OwnRedis, type ScriptProcess } from "@hotset/test-servers";
import { Random } from "@hotset/test-servers";
import type { Hunt } from "./hunt.ts";
import { RULES, WINDOW_MS, type Allowed, type Figures, type Handlers } from "./limit-caller.ts";

const HOUR_MS = 3_600_000;
const CLOCKS = [-HOUR_MS, 0, HOUR_MS / 2, HOUR_MS];
const SCRIPT = new URL("./limit-caller.ts", import.meta.url);

/**
 * A70, A73, A74, A76: four processes with clocks an hour apart share limits, while processes are killed and Redis is
 * killed and stands still, with an append-only file that is written at each command. By the files of the processes, no
 * window holds more than it may.
 */
export const hunt: Hunt = async ({ minutes, seed }) => {
  const random = new Random(seed);
  const directory = await mkdtemp(join(tmpdir(), "hotset-limits-hunt-"));
  await using server = await startOwnRedis({ config: ["appendonly yes", "appendfsync always"] });
  const crew = new Crew(server, directory, random);
  const endAt = performance.now() + minutes * 60_000;
  let [kills, pauses] = [0, 0];
  await crew.start();
  while (performance.now() < endAt) {
    await sleep(random.gap(1_000));
    if (random.oneIn(3)) await crew.replaceOne();
    else if (random.oneIn(2)) {
      await server.kill();
      await sleep(random.below(300));
      await server.start();
      kills += 1;
    } else {
      server.pause();
      await sleep(random.below(800));
      server.resume();
      pauses += 1;
    }
  }
  const { refused, degraded } = await crew.stop();
  const allowed = await crew.read();
  await rm(directory, { recursive: true });
  for (const [name, { most }] of Object.entries(RULES)) {
    const calls = allowed.filter(({ rule }) => rule === name);
    if (calls.length < minutes * 60) throw new Error(`${name} allowed ${calls.length} calls alone: it does not heal`);
    const fullest = fullestWindow(calls);
    if (fullest > most) throw new Error(`${name}: a window holds ${fullest} units, and may hold ${most}`);
  }
  return (
    `${allowed.length} calls allowed, ${refused} refused, ${degraded} without Redis; Redis killed ${kills} times, ` +
    `still ${pauses} times; no window too full`
  );
};

/**
 * Units of calls that were decided within one window for certain: they were sent, and answered, in somewhat less than
 * its length, since the clock of the server counts whole milliseconds.
 */
function fullestWindow(calls: readonly Allowed[]): number {
  const sorted = calls.toSorted((a, b) => a.sentAt - b.sentAt);
  return sorted.reduce((fullest, { sentAt }, first) => {
    let units = 0;
    for (let i = first; i < sorted.length && sorted[i]!.sentAt < sentAt + WINDOW_MS; i += 1)
      if (sorted[i]!.repliedAt < sentAt + WINDOW_MS - 2) units += sorted[i]!.cost;
    return Math.max(fullest, units);
  }, 0);
}

class Crew {
  readonly #server: OwnRedis;
  readonly #directory: string;
  readonly #random: Random;
  readonly #callers: ScriptProcess<Handlers>[] = [];
  #hired = 0;

  constructor(server: OwnRedis, directory: string, random: Random) {
    this.#server = server;
    this.#directory = directory;
    this.#random = random;
  }

  async start(): Promise<void> {
    for (const index of CLOCKS.keys()) this.#callers.push(await this.#hire(index));
  }

  async replaceOne(): Promise<void> {
    const index = this.#random.below(CLOCKS.length);
    await this.#callers[index]!.kill();
    this.#callers[index] = await this.#hire(index);
  }

  async stop(): Promise<Figures> {
    const all = await Promise.all(this.#callers.map((caller) => caller.call("stop")));
    await Promise.all(this.#callers.map((caller) => caller.end()));
    const sum = (field: keyof Figures): number => all.reduce((total, figures) => total + figures[field], 0);
    return { refused: sum("refused"), degraded: sum("degraded") };
  }

  async read(): Promise<readonly Allowed[]> {
    const files = await readdir(this.#directory);
    const texts = await Promise.all(files.map((file) => readFile(join(this.#directory, file), "utf8")));
    // The last line of a process that was killed may be half there.
    return texts.flatMap((text) => (text.match(/^\{.*\}$/gm) ?? []).map((line) => JSON.parse(line) as Allowed));
  }

  async #hire(index: number): Promise<ScriptProcess<Handlers>> {
    const caller = forkScript<Handlers>(SCRIPT);
    await caller.call("start", {
      url: this.#server.url,
      journal: join(this.#directory, `${(this.#hired += 1)}.jsonl`),
      seed: this.#random.below(1_000_000),
      clockOffsetMs: CLOCKS[index]!,
    });
    return caller;
  }
}
