import { systemClock } from "@hotset/core";
import { expect, it } from "vitest";
import { noCounts } from "../module/counts.ts";
import { MessageQueue } from "./message-queue.ts";

const queueOf = (overflow: "drop-oldest" | "close"): MessageQueue<string> =>
  new MessageQueue({
    ...{ buffer: 1, overflow, module: { clock: systemClock, counts: noCounts() } },
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
