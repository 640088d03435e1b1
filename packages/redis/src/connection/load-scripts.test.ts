import { flush } from "@hotset/testing";
import { expect, it } from "vitest";
import { Wire } from "../../test/wire.ts";
import { SCRIPTS } from "../lua/all-scripts.ts";
import { LOAD_SCRIPTS } from "./load-scripts.ts";

const BUSY = new (class SimpleError extends Error {})("BUSY Redis is busy running a script.");

it.each([
  ["next connection asks for one script in place of all, once all are loaded", ["OK", "OK"], 1],
  ["next connection loads them again when one was refused, such as while a script ran", [BUSY, "OK"], 0],
])("%s", async (_, [first, further], marked) => {
  const wire = new Wire();
  const loading = LOAD_SCRIPTS.hash(wire);
  const [asked] = wire.sent.splice(0);
  await wire.reply([0]);
  expect(wire.sent.splice(0)).toEqual(SCRIPTS.hash.map(({ text }) => `SCRIPT LOAD ${text}`));
  await (first instanceof Error ? wire.fail(first) : wire.reply(first));
  for (let i = 1; i < SCRIPTS.hash.length; i += 1) await wire.reply(further);
  const all = wire.sent.splice(0);
  expect(all).toHaveLength(marked);
  if (marked === 1) await wire.reply("OK");
  await loading;

  const next = LOAD_SCRIPTS.hash(wire);
  expect(wire.sent.splice(0)).toEqual([asked]);
  await wire.reply([1, 1]);
  await next;
  await flush();
  expect(wire.sent).toEqual([]);
});

it("all are loaded again where they were flushed before the one that stands for them was loaded", async () => {
  const wire = new Wire();
  void LOAD_SCRIPTS.hash(wire);
  expect(wire.sent.splice(0)).toEqual([expect.stringMatching(`^SCRIPT EXISTS \\w{40} ${SCRIPTS.hash[0]!.sha}$`)]);
  await wire.reply([1, 0]);
  expect(wire.sent).toEqual(SCRIPTS.hash.map(({ text }) => `SCRIPT LOAD ${text}`));
});
