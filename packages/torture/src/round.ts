import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { forkScript, type ScriptProcess } from "@hotset/test-servers";
import { createClient } from "@redis/client";
import type { Arena } from "./arena.ts";
import { clockSince } from "./clock.ts";
import {
  FOREIGN,
  type Change,
  type Fault,
  type History,
  type Incident,
  type Instant,
  type Process,
} from "./history.ts";
import { unleash, type Victims } from "./nemesis.ts";
import type { KeyPlan, Operation, Plan } from "./plan-parts.ts";
import { watchPrimaries } from "./primaries.ts";
import { recorded } from "./recorder.ts";
import type { RedisKeys, Scene } from "./replacements.ts";
import { openSource, type Source } from "./source.ts";
import type { Worker, WorkerSettings } from "./worker.ts";

export interface RoundOptions {
  /** Plants a bug in the workers. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a plan in an arena, and returns its history. Leaves nothing behind but the arena. */
export async function run(plan: Plan, arena: Arena, options: RoundOptions = {}): Promise<History> {
  const directory = await mkdtemp(join(tmpdir(), "hotset-torture-"));
  const origin = process.hrtime.bigint();
  const now = clockSince(origin);
  const source = await openSource(now, plan.readersOfAChange);
  const fleet = new Fleet({ plan, arena, source, directory, origin, now, options });
  const scene = { plan, arena, keys: fleet.keys, now };
  const foreign = new ForeignProgram(scene, source);
  const unplanned = watchPrimaries(arena, now);
  try {
    await fleet.start();
    await foreign.open();
    const startAt = now() + SENT_MS * plan.workers.length;
    fleet.run(startAt);
    const foreignWork = foreign.run(
      plan.operations.filter(({ worker }) => worker < 0),
      startAt,
    );
    const faults = await unleash({ ...scene, plan: shifted(plan, startAt) }, fleet);
    await sleep(Math.max(0, startAt + plan.durationMs - now()));
    await foreignWork;
    await arena.heal();
    const isHealed = await fleet.waitUntilInStep(HEAL_WITHIN_MS);
    fleet.runTail();
    await sleep(isHealed ? plan.tailMs : 0);
    await fleet.finish();
    return fleet.history([...faults, ...(await unplanned.stop())], foreign.changes);
  } finally {
    await unplanned.stop();
    await foreign.close();
    await fleet.close();
    await source[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  }
}

const shifted = (plan: Plan, by: Instant): Plan => ({
  ...plan,
  faults: plan.faults.map((fault) => ({ ...fault, at: fault.at + by })),
});

interface FleetOptions extends Omit<Scene, "keys"> {
  readonly source: Source;
  readonly directory: string;
  readonly origin: bigint;
  readonly options: RoundOptions;
}

interface Member {
  readonly name: string;
  readonly script: ScriptProcess<Worker>;
  readonly bornAt: Instant;
  diedAt?: Instant;
}

/** The processes of a round. */
class Fleet implements Victims {
  readonly keys: RedisKeys;
  readonly #given: FleetOptions;
  readonly #prefix: string;
  /** By worker, its processes, one after another. */
  readonly #members: Member[][];
  readonly #incidents: Incident[] = [];
  readonly #files: string[] = [];
  #startAt: Instant = 0;

  constructor(given: FleetOptions) {
    this.#given = given;
    this.#prefix = `t${given.origin.toString(36)}`;
    this.#members = given.plan.workers.map(() => []);
    this.keys = redisKeys(this.#prefix);
  }

  async start(): Promise<void> {
    await Promise.all(this.#members.map((_, worker) => this.#spawn(worker)));
    const connecting = [...this.#members.keys()];
    while (connecting.length > 0) {
      const some = connecting.splice(0, CONNECTED_TOGETHER);
      await Promise.all(some.map((worker) => this.#current(worker).script.call("connect")));
    }
  }

  run(startAt: Instant): void {
    this.#startAt = startAt;
    for (const [worker] of this.#members.entries()) this.#send(worker, this.#given.plan.operations, startAt);
  }

  runTail(): void {
    const from = this.#given.now();
    for (const [worker] of this.#members.entries()) this.#send(worker, this.#given.plan.tail, from);
  }

  name(worker: number): string {
    return this.#current(worker).name;
  }

  freeze(worker: number): void {
    this.#current(worker).script.pause();
  }

  thaw(worker: number): void {
    this.#current(worker).script.resume();
  }

  block(worker: number, forMs: number): Promise<void> {
    return this.#current(worker).script.call("block", forMs);
  }

  setClock(worker: number, byMs: number): Promise<void> {
    return this.#current(worker).script.call("setClock", byMs);
  }

  /** One at a time: the next one waits until its successor runs. */
  kill(worker: number): Promise<void> {
    const killed = (this.#killing[worker] ?? Promise.resolve()).then(() => this.#kill(worker));
    this.#killing[worker] = killed;
    return killed;
  }
  readonly #killing: Promise<void>[] = [];

  async #kill(worker: number): Promise<void> {
    const { plan, now, source } = this.#given;
    const member = this.#current(worker);
    member.diedAt = now();
    await member.script.kill();
    source.endAllOf(member.name);
    await this.#spawn(worker);
    const left = plan.operations.filter(({ at }) => at + this.#startAt > now());
    this.#send(worker, left, this.#startAt);
  }

  /** Whether all processes were connected at the end, with nothing pending. */
  async waitUntilInStep(withinMs: number): Promise<boolean> {
    const { now } = this.#given;
    let deadline = now() + withinMs;
    for (;;) {
      const askedAt = now();
      const asked = this.#members.map((processes) => processes.at(-1)!.script.call("isInStep"));
      const answers = await Promise.all(asked.map((answer) => answer.catch(() => false)));
      if (answers.every(Boolean)) return true;
      // The time in which they did not run does not count.
      if (now() - askedAt > PROMPT_MS) deadline += now() - askedAt;
      if (now() > deadline) {
        for (const [worker, isInStep] of answers.entries())
          if (!isInStep)
            this.#incidents.push({
              process: this.name(worker),
              at: now(),
              kind: "not healed",
              text: `not in step ${withinMs} ms after the end of the last fault`,
            });
        return false;
      }
      await sleep(SENT_MS * answers.length);
    }
  }

  async finish(): Promise<void> {
    await Promise.all(
      this.#members.map(async (_, worker) => {
        const { name, script } = this.#current(worker);
        try {
          await script.call("finish");
          await script.end();
        } catch (error) {
          this.#incidents.push({
            process: name,
            at: this.#given.now(),
            kind: "crash",
            text: error instanceof Error ? error.message : String(error),
          });
        }
      }),
    );
  }

  history(faults: readonly Fault[], foreignChanges: readonly Change[]): History {
    const { plan, source } = this.#given;
    const notes = recorded(this.#files);
    return {
      terms: {
        maxStalenessMs: plan.settings.maxStaleness,
        reissueWindowMs: plan.settings.reissueWindow,
        responseTimeoutMs: plan.settings.responseTimeout,
        loadTimeoutMs: plan.settings.loadTimeout,
        ttlMs: plan.settings.ttl,
        staleMs: Math.max(plan.settings.staleWhileRevalidate, plan.settings.staleIfError),
        healMs: HEAL_WITHIN_MS,
        slackMs: SLACK_MS,
        clockAgeMs: process.env["HOTSET_LAYOUT"] === "string" ? CLOCK_AGE_MS : 0,
        markedForMs: MARKED_FOR_MS,
      },
      ...notes,
      processes: this.#members
        .flat()
        .map(({ name, bornAt, diedAt }): Process => ({ name, bornAt, ...(diedAt !== undefined && { diedAt }) })),
      issues: source.issues,
      changes: [...notes.changes, ...foreignChanges].sort((a, b) => a.startedAt - b.startedAt),
      incidents: [...notes.incidents, ...this.#incidents],
      faults: [...faults].sort((a, b) => a.from - b.from),
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.#members.flat().map(({ script }) => script.kill()));
  }

  async #spawn(worker: number): Promise<void> {
    const { plan, arena, source, directory, origin, now, options } = this.#given;
    const before = this.#members[worker]!;
    const name = `${plan.workers[worker]!.name}${before.length === 0 ? "" : before.length + 1}`;
    const historyPath = join(directory, `${name}.jsonl`);
    this.#files.push(historyPath);
    const settings: WorkerSettings = {
      process: name,
      worker: plan.workers[worker]!,
      index: worker,
      settings: plan.settings,
      keys: plan.keys,
      place: await arena.place(worker),
      keyPrefix: this.#prefix,
      sourcePath: source.path,
      historyPath,
      origin: origin.toString(),
    };
    const script = forkScript<Worker>(new URL("worker.ts", import.meta.url), {
      args: [JSON.stringify(settings)],
      execArgv: ["--expose-gc"],
      // Node compiles the sources once for all processes.
      env: { NODE_COMPILE_CACHE: join(tmpdir(), "node-compile-cache"), ...options.env },
    });
    const askedAt = now();
    before.push({ name, script, bornAt: askedAt });
    const said = await script.call("now");
    if (said < askedAt || said > now())
      throw new Error(
        `The clock of ${name} said ${said} ms between ${askedAt} and ${now()} ms: the processes share no clock`,
      );
  }

  #current(worker: number): Member {
    return this.#members[worker]!.at(-1)!;
  }

  /** A worker gets its part of the operations. */
  #send(worker: number, operations: readonly Operation[], from: Instant): void {
    const { name, script } = this.#current(worker);
    const own = operations.filter((operation) => operation.worker === worker);
    void script.call("run", own, from).catch((error: unknown) => {
      if (this.#members[worker]!.some((member) => member.name === name && member.diedAt !== undefined)) return;
      this.#incidents.push({ process: name, at: this.#given.now(), kind: "crash", text: String(error) });
    });
  }
}

const HEAL_WITHIN_MS = 10_000;

/** More that connect at the same time exceed each other's deadlines on two cores. */
const CONNECTED_TOGETHER = 8;

/** In this time a process gets its operations, or a question. */
const SENT_MS = 7;

/** A running process answers sooner than this. */
const PROMPT_MS = 100;

/** In the string layout a process asks for the time of the server at most once in this. */
const CLOCK_AGE_MS = 1_000;
/** As core has it: how long a key is marked after a load that stored nothing by `noStore` or `notShared`. */
const MARKED_FOR_MS = 10_000;

/** The time that a busy machine may add to any bound. */
const SLACK_MS = 1_000;

/** Keys of Redis, as docs/reference/redis-layout.md describes them. */
function redisKeys(prefix: string): RedisKeys {
  const entry = ({ id, space }: KeyPlan): string => `${prefix}:${["torture", ...space].join(":")}::${id}`;
  return { entry, lease: (key) => `${prefix}~lease:{${entry(key)}}`, versions: `${prefix}:{~torture}` };
}

/** As docs/reference/redis-layout.md says. @param now the time of its server, epoch milliseconds. */
function stringEntry(data: string, ttl: number, now: number): Buffer {
  const meta = `["json",${ttl}]`;
  const times = Buffer.alloc(14);
  times.writeUIntBE(now + ttl, 0, 6);
  times.writeUIntBE(now + ttl, 6, 6);
  times.writeUInt16BE(meta.length, 12);
  const version = randomBytes(12).toString("base64url");
  return Buffer.concat([Buffer.of(0xc1, 1, version.length), Buffer.from(version), times, Buffer.from(meta + data)]);
}

/** Writes entries with node-redis alone, as a program without the library does. */
class ForeignProgram {
  readonly changes: Change[] = [];
  readonly #scene: Scene;
  readonly #source: Source;
  #client: ReturnType<typeof createClient> | undefined;
  #last = 0;

  constructor(scene: Scene, source: Source) {
    this.#scene = scene;
    this.#source = source;
  }

  /** On a single server alone: elsewhere it would have to find the primary. */
  async open(): Promise<void> {
    const { single } = this.#scene.arena;
    if (single === undefined) return;
    this.#client = createClient({
      url: single.url,
      disableOfflineQueue: true,
      socket: { reconnectStrategy: 50 },
    });
    this.#client.on("error", () => undefined);
    await this.#client.connect();
  }

  async run(operations: readonly Operation[], from: Instant): Promise<void> {
    const running: Promise<void>[] = [];
    for (const operation of operations) {
      await sleep(Math.max(0, operation.at + from - this.#scene.now()));
      if (this.#client?.isReady === true && (operation.kind === "foreignDelete" || operation.kind === "foreignSet"))
        running.push(this.#change(operation.kind, operation.key));
    }
    await Promise.race([Promise.all(running), sleep(3_000)]);
  }

  async close(): Promise<void> {
    this.#client?.destroy();
  }

  /** Epoch milliseconds. */
  async #serverTime(): Promise<number> {
    const [seconds, microseconds] = await this.#client!.sendCommand<readonly [string, string]>(["TIME"]);
    return Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000);
  }

  async #change(kind: "foreignDelete" | "foreignSet", id: string): Promise<void> {
    this.#last += 1;
    const change = `${FOREIGN}.${this.#last}`;
    const versions = this.#source.begin({ change, keys: [id], isSet: true, isChained: false });
    if (versions === undefined) return;
    const { plan, keys, now } = this.#scene;
    const key = plan.keys.find((each) => each.id === id)!;
    const entry = keys.entry(key);
    const { ttl } = plan.settings;
    const startedAt = now();
    const common = {
      process: FOREIGN,
      id: change,
      kind,
      keys: [[id, versions[0]!] as const],
      mode: "hard",
      startedAt,
      boundMs: Infinity,
    } as const;
    try {
      const isString = kind === "foreignSet" && process.env["HOTSET_LAYOUT"] === "string";
      const serverTime = isString ? await this.#serverTime() : 0;
      const commands = this.#client!.multi().del(entry).del(keys.lease(key));
      const data = JSON.stringify({ k: id, v: versions[0] });
      if (isString) commands.set(entry, stringEntry(data, ttl, serverTime), { expiration: { type: "PX", value: ttl } });
      else if (kind === "foreignSet")
        commands.hSet(entry, { d: data, s: String(Date.now() + ttl) }).pExpire(entry, ttl);
      await commands.exec();
      this.changes.push({ ...common, endedAt: now(), status: "acknowledged" });
    } catch (error) {
      this.changes.push({ ...common, endedAt: now(), status: "failed", error: String(error) });
    } finally {
      this.#source.end(change);
    }
  }
}
