import { EventEmitter } from "node:events";
import { TestClock, flush, outcome } from "@hotset/testing";
import { expect, it } from "vitest";
import { send } from "../connection/link.ts";
import { LOAD_SCRIPTS } from "../connection/load-scripts.ts";
import { ClientLink, type RedisClientLike } from "./client-link.ts";

/** A client whose replies the test gives, to the oldest command first. */
class Client extends EventEmitter implements RedisClientLike {
  readonly isOpen = true;
  readonly pending: ((reply: unknown) => void)[] = [];

  sendCommand(): Promise<unknown> {
    return new Promise((resolve) => this.pending.push(resolve));
  }
  /** The commands that prepare a connection, to a server that lacks the scripts. */
  async prepared(): Promise<void> {
    for (let trip = 0; trip < 3; trip += 1) {
      await flush();
      for (const resolve of this.pending.splice(0)) resolve("OK");
    }
    await flush();
  }
  withTypeMapping = (): RedisClientLike => this;
  duplicate = (): RedisClientLike => this;
  connect = (): Promise<unknown> => Promise.resolve();
  close = (): Promise<void> => Promise.resolve();
}

const linkOver = (client: RedisClientLike): ClientLink =>
  new ClientLink(client, {
    clock: new TestClock(),
    random: Math.random,
    responseTimeoutMs: 1_000,
    connectTimeoutMs: 1_000,
    maxInFlight: 10,
    backoff: { baseMs: 10, factor: 2, maxMs: 100 },
    retries: Infinity,
    prepare: LOAD_SCRIPTS.hash,
  });

const READ = { tier: "redis", operation: "read" };

it("C91 rejects the reply to a command that the client sent again over its next connection: it may come from another server, not reported yet", async () => {
  const client = new Client();
  const link = linkOver(client);
  const first = send(link, READ, ["GET", "k"]);
  await client.prepared();
  client.pending.shift()!("before");
  expect(await first).toBe("before");

  const second = send(link, READ, ["GET", "k"]);
  await flush();
  client.emit("error", new Error("Socket closed unexpectedly"));
  client.emit("ready");
  client.pending.shift()!("after");
  await expect(second).rejects.toThrow("the client has reconnected meanwhile");

  const third = send(link, READ, ["GET", "k"]);
  expect(await outcome(third)).toEqual({ status: "pending" });
  await client.prepared();
  client.pending.shift()!("after");
  expect(await third).toBe("after");
});

it("C91 a preparation that began before the client reconnected counts for nothing: calls that waited for it fail, unsent, and the next call prepares the new connection", async () => {
  const client = new Client();
  const link = linkOver(client);
  const waiting = send(link, READ, ["GET", "k"]).catch((error: unknown) => error);
  await flush();
  client.emit("error", new Error("Socket closed unexpectedly"));
  client.emit("ready");
  await client.prepared();
  expect(await waiting).toMatchObject({ code: "BACKEND_UNAVAILABLE", maybeExecuted: false });
  expect(client.pending).toEqual([]);

  const next = send(link, READ, ["GET", "k"]);
  await client.prepared();
  client.pending.shift()!("value");
  expect(await next).toBe("value");
});

it("A18 close waits for the calls in flight, which are answered", async () => {
  const client = new Client();
  const link = linkOver(client);
  const read = send(link, READ, ["GET", "k"]);
  await client.prepared();
  const closing = link.close();
  await flush();
  expect(await outcome(closing)).toEqual({ status: "pending" });
  client.pending.shift()!("value");
  expect(await read).toBe("value");
  await closing;
});

it("reports each change of its state: in use, lost, back, and in use again", async () => {
  const client = Object.assign(new Client(), { isReady: true });
  const link = linkOver(client);
  const states: string[] = [link.state];
  link.onChange(() => states.push(link.state));
  let forgotten = 0;
  link.onChange(() => (forgotten += 1))();
  const first = send(link, READ, ["GET", "k"]);
  expect(link.state).toBe("connecting");
  await client.prepared();
  client.pending.shift()!("value");
  expect(await first).toBe("value");
  expect(states).toEqual(["idle", "up"]);
  expect(link.reachableParts).toEqual([""]);

  client.isReady = false;
  client.emit("error", new Error("Socket closed unexpectedly"));
  expect(states).toEqual(["idle", "up", "down"]);
  expect(link.reachableParts).toEqual([]);
  expect(await outcome(link.connect())).toMatchObject({
    status: "rejected",
    reason: {
      message: "the client given to fromClient has no connection at the moment",
      cause: { message: "Socket closed unexpectedly" },
    },
  });

  client.isReady = true;
  client.emit("ready");
  expect(states).toEqual(["idle", "up", "down", "idle"]);
  const connected = link.connect();
  await client.prepared();
  await connected;
  expect(states).toEqual(["idle", "up", "down", "idle", "up"]);
  await link.close();
  expect(link.state).toBe("closed");
  expect(link.reachableParts).toEqual([]);
  expect(forgotten).toBe(0);
  expect(client.listenerCount("ready")).toBe(0);
});
