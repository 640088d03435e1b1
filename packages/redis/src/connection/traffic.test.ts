import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { expect, it } from "vitest";
import { Traffic } from "./traffic.ts";

const socketOf = (bytesRead: number, bytesWritten: number): Socket =>
  Object.assign(new EventEmitter(), { bytesRead, bytesWritten }) as unknown as Socket;

const totals = ({ received, sent }: Traffic): readonly [number, number] => [received, sent];

it("adds up the sockets that are open, and keeps the bytes of those that are closed, each once", () => {
  const traffic = new Traffic();
  expect(totals(traffic)).toEqual([0, 0]);
  const [first, second] = [socketOf(100, 10), socketOf(2_000, 200)];
  for (const socket of [first, second, first, undefined]) traffic.add(socket);
  expect(totals(traffic)).toEqual([2_100, 210]);
  Object.assign(first, { bytesRead: 105, bytesWritten: 15 });
  first.emit("close");
  // Nothing of it is held any more.
  Object.assign(first, { bytesRead: 0, bytesWritten: 0 });
  expect(totals(traffic)).toEqual([2_105, 215]);
  second.emit("close");
  expect(totals(traffic)).toEqual([2_105, 215]);
});
