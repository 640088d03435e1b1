import { expect, it } from "vitest";
import { Acks } from "./acks.ts";
import type { EntryId } from "./entry-id.ts";

it("one command is under way at a time, with all ids that came meanwhile", async () => {
  const sent: (readonly EntryId[])[] = [];
  const gates = Array.from({ length: 3 }, () => Promise.withResolvers<void>());
  const acks = new Acks((ids) => {
    sent.push(ids);
    return gates[sent.length - 1]!.promise;
  });
  for (const id of ["1-1", "2-1", "3-1"] as const) acks.add(id);
  expect(sent).toEqual([["1-1"]]);
  gates[0]!.resolve();
  await Promise.resolve();
  await Promise.resolve();
  expect(sent).toEqual([["1-1"], ["2-1", "3-1"]]);
  acks.add("4-1");
  gates[1]!.resolve();
  gates[2]!.resolve();
  await acks.settled();
  expect(sent).toEqual([["1-1"], ["2-1", "3-1"], ["4-1"]]);
});

it("an id that was not confirmed is sent again", async () => {
  const sent: (readonly EntryId[])[] = [];
  let isAway = true;
  const acks = new Acks(async (ids) => {
    sent.push(ids);
    if (isAway) throw new Error("away");
  });
  acks.add("1-1");
  // One that is under way has not failed: reading goes on meanwhile.
  expect(acks.hasFailed).toBe(false);
  await expect(acks.settled()).rejects.toThrow("away");
  expect(acks.hasFailed).toBe(true);
  isAway = false;
  await acks.settled();
  await acks.settled();
  expect(acks.hasFailed).toBe(false);
  expect(sent).toEqual([["1-1"], ["1-1"]]);
});

it.for([0, 1, 2, 3, 4, 5])("an id that comes %i turns after the last reply is sent, too", async (turns) => {
  const sent: (readonly EntryId[])[] = [];
  const reply = Promise.withResolvers<void>();
  const acks = new Acks((ids) => {
    sent.push(ids);
    return reply.promise;
  });
  acks.add("1-1");
  reply.resolve();
  for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
  acks.add("2-1");
  const confirmed = acks.settled().then(() => acks.has("2-1"));
  expect([await confirmed, sent]).toEqual([false, [["1-1"], ["2-1"]]]);
});
