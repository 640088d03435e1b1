import { systemClock } from "@hotset/core";
import { expect, it } from "vitest";
import { noCounts } from "../module/counts.ts";
import { MessageQueue } from "./message-queue.ts";

const reports: string[] = [];
const report = (kind: string, error: unknown): void => void reports.push(`${kind}: ${(error as Error).message}`);

const queueOf = (overflow: "drop-oldest" | "close", buffer = 1): MessageQueue<string> =>
  new MessageQueue({
    ...{ name: "news", buffer, maxBytes: 10, overflow, module: { clock: systemClock, counts: noCounts(), report } },
    read: (bytes) => Promise.resolve(bytes.toString()),
  });

const message = (text: string): object => ({
  done: false,
  value: { kind: "message", message: text, channel: "c" },
});

it("A47: one that was full before its end was known runs it at once, and once", async () => {
  const queue = queueOf("close");
  queue.push(Buffer.from("1"), "c");
  queue.push(Buffer.from("2"), "c");
  let ends = 0;
  queue.onEnd(() => {
    ends += 1;
    return Promise.resolve();
  });
  expect(ends).toBe(1);
  await queue.close();
  expect([ends, queue.dropped]).toEqual([1, 1]);
});

it("A47: calls of next at the same time get one event each, in order, and all end with the queue", async () => {
  const queue = queueOf("drop-oldest");
  const reads = [queue.next(), queue.next(), queue.next(), queue.next()];
  queue.push(Buffer.from("1"), "c");
  queue.gap();
  await Promise.all(reads.slice(0, 2));
  queue.push(Buffer.from("2"), "c");
  const [first, second, third] = await Promise.all(reads.slice(0, 3));
  expect([first, second, third]).toEqual([message("1"), { done: false, value: { kind: "gap" } }, message("2")]);
  await queue.close();
  expect(await reads[3]).toEqual({ done: true, value: undefined });
  expect(await queue.next()).toEqual({ done: true, value: undefined });
});

it("A47: messages that wait are bounded by their bytes, too; one is kept, however large, and a drop is reported", async () => {
  const queue = queueOf("drop-oldest", 100);
  reports.length = 0;
  const lengths = async (): Promise<readonly number[]> => {
    const waiting: number[] = [];
    queue.gap();
    for await (const event of queue) {
      if (event.kind === "gap") break;
      waiting.push(event.message.length);
    }
    return waiting;
  };
  queue.push(Buffer.alloc(6), "c");
  queue.push(Buffer.alloc(4), "c");
  expect([queue.dropped, reports]).toEqual([0, []]);
  queue.push(Buffer.alloc(5), "c");
  queue.push(Buffer.alloc(50), "c");
  expect(queue.dropped).toBe(3);
  expect(reports[0]).toBe(
    'pub/sub: the reader of "news" is too slow, so messages are dropped: at most 100 with 10 bytes wait for it; ' +
      "see buffer and maxBytes",
  );
  expect(await lengths()).toEqual([50]);
});
