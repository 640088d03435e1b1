import { appendFileSync } from "node:fs";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { sentinel } from "@hotset/redis";
import { createRedis } from "@hotset/redis-toolkit";
import { locks, type Lease } from "@hotset/redis-toolkit/lock";
import { answerCalls } from "@hotset/test-servers";
import { Random } from "@hotset/test-servers";

/** One grant. Instants are nanoseconds of the machine's monotonic clock, so those of all processes can be compared. */
export interface Grant {
  readonly lock: number;
  readonly token: string;
  readonly fence: number;
  readonly startedAt: string;
  readonly grantedAt: string;
}

/** The last instant at which a holder found its lease valid. */
export interface Seen {
  readonly token: string;
  readonly heldAt: string;
}

export interface ContenderSettings {
  readonly sentinels: readonly string[];
  readonly primaryName: string;
  /** The socket of the guarded store. */
  readonly store: string;
  /** One line for each grant and each look at it. It outlives the process. */
  readonly journal: string;
  readonly contenders: number;
  readonly locks: number;
  readonly seed: number;
}

const TTL_MS = 1_000;

let isEnding = false;
let running: Promise<unknown> = Promise.resolve();

const handlers = {
  start(settings: ContenderSettings): void {
    const redis = createRedis({
      env: false,
      connection: sentinel(settings.sentinels, { primaryName: settings.primaryName }),
      commandTimeout: "500ms",
      logger: { error: () => undefined, warn: () => undefined, info: () => undefined },
    });
    const store = storeAt(settings.store);
    const contend = Array.from({ length: settings.contenders }, async (_, index) => {
      const random = new Random(settings.seed + index);
      while (!isEnding) await round(settings, random, store, locks(redis));
    });
    running = Promise.all(contend).then(() => redis.disconnect());
  },
  async stop(): Promise<void> {
    isEnding = true;
    await running;
  },
};

export type Handlers = typeof handlers;
answerCalls(handlers);

async function round(
  { journal, locks: count }: ContenderSettings,
  random: Random,
  write: (lock: number, fence: number) => void,
  lock: ReturnType<typeof locks>,
): Promise<void> {
  const index = random.below(count);
  const startedAt = process.hrtime.bigint();
  let lease: Lease;
  try {
    lease = await lock.acquire(`hunted ${index}`, { ttl: TTL_MS, wait: "3s" });
  } catch {
    await pause(20);
    return;
  }
  const note = (line: Grant | Seen): void => appendFileSync(journal, `${JSON.stringify(line)}\n`);
  const { token, fence } = lease;
  const grantedAt = String(process.hrtime.bigint());
  note({ lock: index, token, fence, startedAt: String(startedAt), grantedAt });
  // Now and then one that writes on after its time, as a process that was paused does.
  const isCareless = random.oneIn(40);
  const looks = random.below(4);
  for (let look = 0; look < looks; look += 1) {
    const heldAt = String(process.hrtime.bigint());
    if (lease.remainingMs === 0) break;
    note({ token, heldAt });
    write(index, fence);
    await pause(random.below(20));
    if (random.oneIn(5)) await lease.extend().catch(() => "away");
  }
  if (isCareless) {
    await pause(TTL_MS + random.below(300));
    write(index, fence);
  }
  await lease.release().catch(() => "away");
}

/** A line for each write: the lock and the fence. The store does not answer: it judges for itself. */
function storeAt(path: string): (lock: number, fence: number) => void {
  const socket = connect(path);
  socket.on("error", () => undefined);
  createInterface({ input: socket }).on("line", () => undefined);
  return (lock, fence) => socket.write(`${lock} ${fence}\n`);
}

const pause = (ms: number): Promise<unknown> => new Promise((resolve) => setTimeout(resolve, ms));
