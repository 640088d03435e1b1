import { createRedis } from "@hotset/redis-toolkit";
import { consumer, streams } from "@hotset/redis-toolkit/streams";
import { createClient } from "@redis/client";
import { inFlight, type Scenario } from "../measure.ts";
import { commandFigures, processorMs, Tally } from "../server-figures.ts";
import type { Conditions, Figure, Trial } from "../trial.ts";

const FIELDS = { type: "payment.created", text: "x".repeat(200) };
const COUNT = 100;
const AT_ONCE = 500;

/** Entries from a writer to an acknowledgement, by one consumer of a group whose handler does nothing. */
interface Side {
  append(): Promise<unknown>;
  /** Resolves when so many more entries were handled. */
  handled(count: number): Promise<void>;
  close(): Promise<unknown>;
}

/** Streams by the toolkit, and by a loop over bare commands of node-redis, which keeps no promise about faults. */
export async function toolkitStreamScenarios(
  url: string,
): Promise<{ readonly scenarios: readonly Scenario[]; close(): Promise<void> }> {
  const [bare, own] = [await bareLoop(url), ours(url, "bench-streams")];
  const scenario = (side: Side, name: string): Scenario["raw"] => ({
    name,
    run: async (operations) => {
      const handled = side.handled(operations);
      await inFlight(AT_ONCE, operations, () => side.append());
      await handled;
    },
  });
  return {
    scenarios: [
      {
        name: `toolkit streams, append to acknowledged, ${COUNT} at once`,
        operations: 20_000,
        shows: "speed",
        target: 0.5,
        counts: "entries",
        raw: scenario(bare, "xAdd, xReadGroup, xAck"),
        hotset: scenario(own, "append, consumer"),
      },
    ],
    close: async () => void (await Promise.all([bare.close(), own.close()])),
  };
}

/** Commands, and processor time of Redis, for each entry from `append` to its acknowledgement. */
export const streamsOnTheWire = ({ server, url }: Conditions): Trial => ({
  name: "toolkit streams, commands and processor time of Redis for each entry",
  run: async () => {
    const figures: Figure[] = [];
    for (const [name, make] of [
      ["hotset", () => Promise.resolve(ours(url, "bench-streams-wire"))],
      ["a bare loop", () => bareLoop(url)],
    ] as const) {
      const side = await make();
      const handled = side.handled(ENTRIES);
      await server.command("CONFIG", "RESETSTAT");
      const before = await processorMs(server);
      await inFlight(AT_ONCE, ENTRIES, () => side.append());
      await handled;
      const spent = (await processorMs(server)) - before;
      const sent = (await commandFigures(server, SENT)).calls;
      figures.push({ what: `${name}: commands`, value: sent / ENTRIES, unit: "", remark: `${COUNT} in a read` });
      figures.push({ what: `${name}: Redis`, value: (spent / ENTRIES) * 1_000, unit: " µs" });
      await side.close();
    }
    return figures;
  },
});

const ENTRIES = 20_000;

const SENT = ["xadd", "xreadgroup", "xack", "evalsha", "eval"];

function ours(url: string, name: string): Side {
  const redis = createRedis({ url, env: false });
  const stream = streams(redis).stream<typeof FIELDS>(name, { maxLen: 100_000 });
  const handled = new Tally();
  const worker = consumer(stream, "bench", { count: COUNT }, () => handled.add());
  return {
    append: () => stream.append(FIELDS),
    handled: (count) => handled.more(count),
    close: async () => {
      await worker.stop();
      await redis.commands.delete(name);
      await redis.disconnect();
    },
  };
}

async function bareLoop(url: string): Promise<Side> {
  const name = "bench-streams-bare";
  const client = await createClient({ url, commandOptions: { timeout: 0 } }).connect();
  const reader = await client.duplicate().connect();
  await client.xGroupCreate(name, "bench", "0", { MKSTREAM: true });
  const handled = new Tally();
  let isOver = false;
  const ended = (async () => {
    while (!isOver) {
      const read = { key: name, id: ">" };
      const reply = await reader.xReadGroup("bench", "one", read, { COUNT, BLOCK: 100 });
      const messages = (
        (reply as readonly { readonly messages: readonly { readonly id: string }[] }[] | null) ?? []
      ).flatMap((stream) => stream.messages);
      if (messages.length === 0) continue;
      await client.xAck(
        name,
        "bench",
        messages.map(({ id }) => id),
      );
      for (const _ of messages) handled.add();
    }
  })();
  const trim = { TRIM: { strategy: "MAXLEN", strategyModifier: "~", threshold: 100_000 } } as const;
  return {
    append: () => client.xAdd(name, "*", FIELDS, trim),
    handled: (count) => handled.more(count),
    close: async () => {
      isOver = true;
      await ended;
      await client.del(name);
      await Promise.all([client.close(), reader.close()]);
    },
  };
}
