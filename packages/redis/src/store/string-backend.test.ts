import { json, passthrough } from "@hotset/core";
import { TestClock } from "@hotset/testing";
import { expect, it } from "vitest";
import { found } from "../../test/found.ts";
import { Wire } from "../../test/wire.ts";
import { CommandQueue } from "../connection/command-queue.ts";
import type { Link } from "../connection/link.ts";
import { EntryBackend } from "./entry-backend.ts";
import { RedisKeys } from "./redis-keys.ts";
import { encodeString, stamp } from "./string-entry.ts";

const NOW = 1_700_000_000_000;

/** Over a wire; `parts` as in a cluster. */
function open(parts?: Link["parts"]): { readonly wire: Wire; readonly backend: EntryBackend } {
  const wire = new Wire();
  const queue = new CommandQueue({ clock: new TestClock(), deadlineMs: 1_000, maxInFlight: 100 });
  queue.client = wire;
  const link: Link = {
    queue,
    leaveReplica: () => undefined,
    admit: (call, send) => queue.enqueue(call, send),
    connect: () => Promise.resolve(),
    close: () => Promise.resolve(),
    ...(parts && { parts }),
  };
  const backend = new EntryBackend(
    { link, release: () => Promise.resolve() },
    {
      label: "redis",
      format: json(),
      compressor: passthrough(),
      alsoReads: [],
      maxEntryBytes: Infinity,
      maxDecodedBytes: Infinity,
      responseTimeoutMs: 1_000,
      keys: new RedisKeys({ prefix: "hotset", format: "readable" }),
      layout: "string",
      leaseMs: 2_000,
      writeIds: () => "id",
      epochMs: () => NOW,
    },
  );
  return { wire, backend };
}

function encoded(text: string): Buffer {
  const entry = { data: Buffer.from(text), staleInMs: 60_000, expiresInMs: 360_000, meta: "json none" };
  const string = encodeString(entry, "w")!;
  stamp(string, NOW);
  return string.value;
}

const TIME = [String(NOW / 1_000), "0"];
const KEYS = ["a", "b", "c"];

it("C114: a batch of strings is one MGET, and answers in the order of its keys", async () => {
  const { wire, backend } = open();
  const read = backend.batch.read(KEYS);
  expect(wire.sent.filter((command) => !command.startsWith("EVALSHA"))).toEqual(["MGET hotset:a hotset:b hotset:c"]);
  await wire.reply(TIME);
  await wire.reply([encoded("1"), null, encoded("3")]);
  expect((await read).map((entry) => found(entry)?.data.toString())).toEqual(["1", undefined, "3"]);
});

it("C114: in a cluster a batch of strings is a GET for each key, as MGET takes the keys of one slot alone", async () => {
  const { wire, backend } = open({
    names: () => ["left", "right"],
    of: (key) => (key.endsWith("b") ? "right" : "left"),
  });
  const read = backend.batch.read(KEYS);
  const names = wire.sent.map((command) => (command.startsWith("EVALSHA") ? "the time" : command));
  expect(names).toEqual(["the time", "GET hotset:a", "the time", "GET hotset:b", "GET hotset:c"]);
  for (const reply of [TIME, encoded("1"), TIME, null, encoded("3")]) await wire.reply(reply);
  expect((await read).map((entry) => found(entry)?.data.toString())).toEqual(["1", undefined, "3"]);
  expect(await backend.batch.read([])).toEqual([]);
});
