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
const written = (): string[][] => Array.from(queue.commandsToWrite(), (chunks) => chunks.map(String));
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
    expect([unconnected.sent, written()]).toEqual([1, [[READ_AS_RESP]]]);
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
    expect(written()).toEqual([
      [
        "*2\r\n$3\r\nGET\r\n$1\r\na\r\n*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\n",
        "B",
        "\r\n*3\r\n$4\r\nHGET\r\n$1\r\nc\r\n$1\r\nd\r\n*2\r\n$3\r\nDEL\r\n$1\r\nc\r\n*2\r\n$3\r\nGET\r\n$1\r\ne\r\n",
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
    expect([unconnected.sent, written()]).toEqual([3, [[READ_AS_RESP + READ_AS_RESP]]]);
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
    delete other.takesTogether;
    joinCommands(other);
    expect(other.takesTogether).toBe(undefined);
  });
});

it("what was taken from the queue is written, also where the socket takes no more", () => {
  const large = "x".repeat(10_000);
  for (const name of ["a", "b", "c", "d", "e"])
    sendAll(
      client,
      [
        ["SET", name, large],
        ["GET", name],
      ],
      done,
    );
  const names = (text: string): string[] => Array.from(text.matchAll(/GET\r\n\$1\r\n(.)/g), ([, name]) => name!);
  const [first] = queue.commandsToWrite();
  expect(names(String(first))).toEqual(["a", "b"]);
  expect(written().map((chunks) => names(chunks.join("")))).toEqual([["c", "d"], ["e"]]);
});
