/** A program without the library that writes keys of Redis, at a rate. Started by the trials. */
import { setTimeout as sleep } from "node:timers/promises";
import { answerCalls } from "@hotset/test-servers";
import { createClient } from "@redis/client";

const handlers = {
  /** Writes `<stem><number>`, from `from` on, and stops after `count`. */
  async write(
    url: string,
    stem: string,
    from: number,
    count: number,
    perSecond: number,
  ): Promise<{ readonly perSecond: number }> {
    const client = await createClient({ url, commandOptions: { timeout: 0 } }).connect();
    const startedAt = performance.now();
    const open: Promise<unknown>[] = [];
    for (let done = 0; done < count;) {
      // A field beside those of an entry, which can still be read.
      for (
        const due = Math.min(count, Math.floor(((performance.now() - startedAt) * perSecond) / 1_000));
        done < due;
        done += 1
      )
        open.push(client.sendCommand(["HSET", `${stem}${from + done}`, "x", String(done)]));
      await sleep(1);
    }
    await Promise.all(open);
    const tookMs = performance.now() - startedAt;
    await client.close();
    return { perSecond: (count / tookMs) * 1_000 };
  },
};

export type WriterProcess = typeof handlers;

answerCalls(handlers);
