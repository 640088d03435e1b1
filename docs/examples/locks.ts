/**
 * Locks: of four workers one writes the invoices of the month, a worker that was stopped for too long cannot overwrite
 * what its successor wrote, and three exports share two slots.
 *
 *     npm install @hotset/redis-toolkit
 *     REDIS_URL=redis://localhost:6379 node locks.ts
 */
import { setTimeout as sleep } from "node:timers/promises";
import { createRedis } from "@hotset/redis-toolkit";
import { locks, LockUnavailableError } from "@hotset/redis-toolkit/lock";

await using redis = createRedis();
const shop = redis.tenant(process.env["KEY_PREFIX"] ?? "hotset-examples");
await shop.purge(); // what an earlier run may have left
const lock = locks(shop, { ttl: "10s" });

/** Stands for a database: it takes no write of a holder that came before the last one that wrote. */
class Invoices {
  readonly written: string[] = [];
  #fence = 0;

  write(text: string, fence: number): boolean {
    if (fence < this.#fence) return false;
    this.#fence = fence;
    this.written.push(text);
    return true;
  }
}

const invoices = new Invoices();

// `using` extends the lock while the task runs, however long that is, and releases it. The others do not wait.
const work = async (worker: string): Promise<string> => {
  try {
    return await lock.using("invoices:2026-11", { wait: 0 }, async ({ fence, signal }) => {
      await sleep(300, undefined, { signal }); // `signal` is aborted before the lock can be another's
      return invoices.write(worker, fence) ? "wrote" : "was refused";
    });
  } catch (error) {
    if (error instanceof LockUnavailableError) return "left it to another";
    throw error; // Redis is unreachable, say: the holder is not known
  }
};
console.log((await Promise.all(["a", "b", "c", "d"].map(work))).toSorted().join(", "));

// A worker is stopped, by its garbage collector say, until its lock has ended. Another one takes over.
const stopped = await lock.acquire("invoices:2026-12", { ttl: "500ms" });
await lock.using("invoices:2026-12", { wait: "30s" }, ({ fence }) => invoices.write("successor", fence));
console.log(`still held: ${stopped.remainingMs > 0}, extended: ${await stopped.extend("1s")}`);
console.log(`late write: ${invoices.write("stopped", stopped.fence)}, last: ${invoices.written.at(-1)}`);

// Slots: two exports at a time, the third one waits for its turn.
const exports = lock.semaphore("exports", 2);
let atOnce = 0;
let most = 0;
const exportAll = (): Promise<void> =>
  exports.using({ wait: "10s" }, async () => {
    most = Math.max(most, (atOnce += 1));
    await sleep(200);
    atOnce -= 1;
  });
await Promise.all([exportAll(), exportAll(), exportAll()]);
console.log(`three exports, ${most} at once`);

// Two accounts at once: all locks or none, so two transfers in opposite directions cannot block each other.
const transfer = (from: string, to: string): Promise<string> =>
  lock.using([`{bank}${from}`, `{bank}${to}`], { wait: "5s" }, async () => `${from} to ${to}`);
console.log((await Promise.all([transfer("ada", "bob"), transfer("bob", "ada")])).join(", "));
await shop.purge();
