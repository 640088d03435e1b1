import { AsyncLocalStorage } from "node:async_hooks";
import { tracingChannel } from "node:diagnostics_channel";
import { flush } from "@hotset/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { openUnconnected, type Unconnected } from "../../test/wire.ts";
import type { Args, RawClient } from "./command-queue.ts";
import { joinCommands, sendAll } from "./trip.ts";

let unconnected: Unconnected;
let client: Unconnected["client"];
let queue: Unconnected["queue"];
let results: unknown[];
const done = (replies: readonly unknown[]): void => void results.push(replies.map(shown));

beforeEach(() => open(3));

async function open(protocol: 2 | 3): Promise<void> {
  unconnected = await openUnconnected(protocol);
  ({ client, queue } = unconnected);
  results = [];
}

const shown = (reply: unknown): unknown => {
  if (Array.isArray(reply)) return reply.map(shown);
  return reply instanceof Error ? reply.message : reply instanceof Buffer ? `<${reply.toString()}>` : reply;
};
const written = (): string[] => Array.from(queue.commandsToWrite(), (chunks) => chunks.map(String).join(""));
const arrive = (text: string): Promise<void> => {
  queue.decoder.write(Buffer.from(text));
  return flush();
};

const READ: readonly Args[] = [
  ["PTTL", "ké"],
  ["HMGET", "ké", "d", "m"],
];
const READ_AS_RESP = "*2\r\n$4\r\nPTTL\r\n$3\r\nké\r\n*4\r\n$5\r\nHMGET\r\n$3\r\nké\r\n$1\r\nd\r\n$1\r\nm\r\n";

describe("commands of a call", () => {
  it("are one for node-redis, and are answered together, in the async context of the call", async () => {
    const context = new AsyncLocalStorage<string>();
    context.run("of the call", () => sendAll(client, READ, (replies) => done([...replies, context.getStore()])));
    expect([unconnected.sent, written()]).toEqual([1, [READ_AS_RESP]]);
    await arrive(":300\r\n*2\r\n$1\r\nv\r\n_\r\n");
    expect(results).toEqual([[300, ["<v>", null], "of the call"]]);
  });

  it("have each their reply, an error where one was refused; and others that of theirs", async () => {
    sendAll(client, [["GET", "a"]], done);
    sendAll(
      client,
      [
        ["SET", "b", Buffer.from("B")],
        ["HGET", "c", "d"],
        ["DEL", "c"],
      ],
      done,
    );
    sendAll(client, [["GET", "e"]], done);
    expect([unconnected.sent, written()]).toEqual([
      1,
      [
        "*2\r\n$3\r\nGET\r\n$1\r\na\r\n*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\nB\r\n" +
          "*3\r\n$4\r\nHGET\r\n$1\r\nc\r\n$1\r\nd\r\n*2\r\n$3\r\nDEL\r\n$1\r\nc\r\n*2\r\n$3\r\nGET\r\n$1\r\ne\r\n",
      ],
    ]);
    await arrive("-LOADING a\r\n+OK\r\n-WRONGTYPE c\r\n:1\r\n$1\r\nE\r\n");
    expect(results).toEqual([["LOADING a"], ["OK", "WRONGTYPE c", 1], ["<E>"]]);
  });

  it("let a push through that comes between their replies, before they are handed on", async () => {
    queue.addPushHandler((push) => results.push(push.map(shown)) > 0);
    const come = sendAll(client, READ, done);
    written();
    await arrive(":300\r\n");
    expect([come, results]).toEqual([[300, undefined], []]);
    await arrive(">2\r\n$10\r\ninvalidate\r\n*1\r\n$3\r\nké\r\n*2\r\n_\r\n_\r\n");
    expect(results).toEqual([
      ["<invalidate>", ["<ké>"]],
      [300, [null, null]],
    ]);
  });

  it("keep the replies that came before the connection was lost", async () => {
    sendAll(client, [["PING"], ...READ], done);
    written();
    await arrive("+PONG\r\n");
    queue.flushAll(new Error("lost"));
    await flush();
    expect(results).toEqual([["PONG", "lost", "lost"]]);
  });
});

describe("commands go one by one", () => {
  it("where the commands of node-redis are traced", async () => {
    const subscriber = (): void => undefined;
    const { start } = tracingChannel("node-redis:command");
    start.subscribe(subscriber);
    sendAll(client, READ, done);
    start.unsubscribe(subscriber);
    sendAll(client, READ, done);
    expect([unconnected.sent, written()]).toEqual([3, [READ_AS_RESP + READ_AS_RESP]]);
    await arrive("*2\r\n_\r\n_\r\n:1\r\n:2\r\n-ERR no\r\n");
    expect(results).toEqual([
      [[null, null], 1],
      [2, "ERR no"],
    ]);
  });

  it("where a subscription takes the replies, by RESP2", async () => {
    await open(2);
    void queue.subscribe("CHANNELS", "news", () => undefined);
    sendAll(client, READ, done);
    expect(unconnected.sent).toBe(2);
  });

  it("where node-redis lacks what it takes", () => {
    const other: RawClient & { _getQueue(): object } = { ...client, _getQueue: () => ({ decoder: {} }) };
    delete other.lane;
    joinCommands(other);
    expect(other.lane).toBe(undefined);
  });

  it("where node-redis hands on copies of what it is given", async () => {
    const { constructor: Original } = queue;
    class Copying extends (Original as new (...given: unknown[]) => typeof queue) {
      override *commandsToWrite(): Iterable<readonly (string | Buffer)[]> {
        for (const chunks of super.commandsToWrite()) yield chunks.map((chunk) => Buffer.from(chunk));
      }
    }
    const copying = new Copying(3);
    const other: RawClient & { _getQueue(): object } = { ...client, _getQueue: () => copying };
    delete other.lane;
    joinCommands(other);
    expect(other.lane).toBe(undefined);
  });
});

it("what was taken from the queue is written, also where the socket takes no more", () => {
  for (const [name, bytes] of Object.entries({ a: 1, b: 60_000, c: 10_000, d: 1, e: 1 }))
    sendAll(
      client,
      [
        ["SET", name, Buffer.alloc(bytes, "x")],
        ["GET", name],
      ],
      done,
    );
  const names = (text: string): string[] => Array.from(text.matchAll(/GET\r\n\$1\r\n(.)/g), ([, name]) => name!);
  const [first] = queue.commandsToWrite();
  expect([unconnected.sent, names(String(first))]).toEqual([2, ["a", "b", "c"]]);
  expect(written().map(names)).toEqual([["d", "e"]]);
});

describe("the commands of one turn", () => {
  const get = (name: string): void => void sendAll(client, [["GET", name]], ([reply]) => done([name, reply]));

  it("A19: are one for node-redis, and one write; what is sent one by one keeps its place", async () => {
    get("a");
    get("b");
    const ping = client.sendCommand(["PING"]).then((reply) => results.push(reply));
    get("c");
    get("d");
    expect([
      unconnected.sent,
      written()
        .join("")
        .match(/[A-Z]+\r\n(?:\$1\r\n.)?/g),
    ]).toEqual([3, ["GET\r\n$1\r\na", "GET\r\n$1\r\nb", "PING\r\n", "GET\r\n$1\r\nc", "GET\r\n$1\r\nd"]]);
    await arrive("$1\r\nA\r\n$1\r\nB\r\n+PONG\r\n$1\r\nC\r\n$1\r\nD\r\n");
    await ping;
    expect(results).toEqual([["a", "<A>"], ["b", "<B>"], "PONG", ["c", "<C>"], ["d", "<D>"]]);
  });

  it("are written once: later ones are another turn", async () => {
    get("a");
    written();
    get("b");
    expect([unconnected.sent, written()]).toEqual([2, ["*2\r\n$3\r\nGET\r\n$1\r\nb\r\n"]]);
    await arrive("$1\r\nA\r\n$1\r\nB\r\n");
    expect(results).toEqual([
      ["a", "<A>"],
      ["b", "<B>"],
    ]);
  });

  it.each([undefined, 5, {}])(
    "an argument that is %s fails its call alone, and changes nothing for the others",
    async (bad) => {
      get("a");
      expect(() =>
        sendAll(
          client,
          [
            ["GET", "x"],
            ["SET", "y", bad as unknown as string],
          ],
          done,
        ),
      ).toThrow(TypeError);
      get("b");
      expect(written()).toEqual(["*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$3\r\nGET\r\n$1\r\nb\r\n"]);
      await arrive("$1\r\nA\r\n$1\r\nB\r\n");
      expect(results).toEqual([
        ["a", "<A>"],
        ["b", "<B>"],
      ]);
    },
  );

  it("are one for each call at least: the replies of others are theirs", async () => {
    get("a");
    expect(() => sendAll(client, [], done)).toThrow(TypeError);
    get("b");
    written();
    await arrive("$1\r\nA\r\n$1\r\nB\r\n");
    expect(results.flat()).toEqual(["a", "<A>", "b", "<B>"]);
  });

  it("have arguments of any bytes, of any kind and size", () => {
    const [small, large] = [new Uint8Array([0, 0x80, 0xff]), new Uint8Array(5_000).fill(0xfe)];
    sendAll(client, [["SET", "é€", small as Buffer, Buffer.from("é"), large as Buffer]], done);
    sendAll(client, [["GET", "b".repeat(3_000)]], done);
    const [chunks] = Array.from(queue.commandsToWrite());
    expect(Buffer.concat(chunks!.map((chunk) => Buffer.from(chunk)))).toEqual(
      Buffer.concat([
        Buffer.from("*5\r\n$3\r\nSET\r\n$5\r\né€\r\n$3\r\n"),
        small,
        Buffer.from("\r\n$2\r\né\r\n$5000\r\n"),
        large,
        Buffer.from(`\r\n*2\r\n$3\r\nGET\r\n$3000\r\n${"b".repeat(3_000)}\r\n`),
      ]),
    );
  });

  it("let go of each call that was answered", async () => {
    const turns: { readonly trips: readonly unknown[] }[] = [];
    const { sendCommand } = client;
    client.sendCommand = (args, options) => {
      turns.push(options!.typeMapping as (typeof turns)[0]);
      return sendCommand(args, options);
    };
    get("a");
    get("b");
    written();
    await arrive("$1\r\nA\r\n");
    expect([results, turns[0]!.trips.map((each) => each !== undefined)]).toEqual([[["a", "<A>"]], [false, true]]);
  });

  it("a callback that throws is an unhandled rejection, and the others are called", async () => {
    const failed: unknown[] = [];
    const onRejection = (error: unknown): void => void failed.push((error as Error).message);
    const others = process.rawListeners("unhandledRejection") as ((error: unknown) => void)[];
    process.removeAllListeners("unhandledRejection");
    process.on("unhandledRejection", onRejection);
    sendAll(client, [["GET", "a"]], () => {
      throw new Error("of the callback");
    });
    get("b");
    written();
    await arrive("$1\r\nA\r\n$1\r\nB\r\n");
    await new Promise((resolve) => setImmediate(resolve));
    process.removeListener("unhandledRejection", onRejection);
    for (const other of others) process.on("unhandledRejection", other);
    expect([results, failed]).toEqual([[["b", "<B>"]], ["of the callback"]]);
  });

  it("that the connection loses fail each, also those that were not written; the next turn goes out", async () => {
    get("a");
    written();
    get("b");
    queue.flushAll(new Error("lost"));
    await flush();
    expect(results).toEqual([
      ["a", "lost"],
      ["b", "lost"],
    ]);
  });

  it("come first by RESP2, where a subscription is behind them", async () => {
    await open(2);
    get("a");
    get("b");
    const subscribed = queue.subscribe("CHANNELS", "news", () => undefined);
    expect(written().join("")).toMatch(/GET[^]*GET[^]*subscribe/);
    await arrive("$1\r\nA\r\n$1\r\nB\r\n*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n");
    await subscribed;
    expect(results).toEqual([
      ["a", "<A>"],
      ["b", "<B>"],
    ]);
  });

  it("a reply that none of them waits for ends the connection", () => {
    let destroyed = 0;
    Object.assign(client, { destroy: () => (destroyed += 1) });
    get("a");
    // node-redis takes it for written, and something else was.
    queue.takeUnwritten();
    expect(() => queue.decoder.write(Buffer.from("$1\r\nA\r\n"))).toThrow("no command waits for");
    expect([destroyed, (client.lane as { isOpen: boolean }).isOpen]).toEqual([1, false]);
  });
});
