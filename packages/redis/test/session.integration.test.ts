import diagnostics from "node:diagnostics_channel";
import { once } from "node:events";
import type { Socket } from "node:net";
import { systemClock } from "@hotset/core";
import { startOwnRedis, until, type OwnRedis } from "@hotset/test-servers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openSession, type NodeClient } from "../src/connection/session.ts";

describe("a connection that Redis ends", () => {
  let server: OwnRedis;
  /** The socket of the youngest connection. */
  let socket: Socket;
  const remember = (message: unknown): void => {
    ({ socket } = message as { readonly socket: Socket });
  };
  beforeAll(async () => {
    server = await startOwnRedis();
    diagnostics.subscribe("net.client.socket", remember);
  });
  afterAll(() => {
    diagnostics.unsubscribe("net.client.socket", remember);
    return server.stop();
  });

  const open = (prepare: (client: NodeClient) => Promise<void>) =>
    openSession(
      { host: "127.0.0.1", port: server.port },
      { database: 0, protocol: 3, connectTimeoutMs: 10_000, clock: systemClock },
      new AbortController().signal,
      prepare,
    );

  /** Ends at the instant at which Node has begun to shut the socket down, and is not done. */
  async function endedBy(client: NodeClient): Promise<void> {
    const ended = once(socket, "end");
    client.sendCommand(["QUIT"]).catch(() => undefined);
    await ended;
    expect([socket.writableEnded, socket.writableFinished]).toEqual([true, false]);
  }

  const sockets = (): number => process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length;

  it("A18 leaves no socket behind when the backend gives it up at the same instant", async () => {
    const before = sockets();
    const session = await open(async () => undefined);
    expect(sockets()).toBe(before + 1);
    await endedBy(session.client as NodeClient);
    session.destroy();
    await until("the socket to be closed", async () => sockets() === before);
  });

  it("A18 leaves no socket behind when Redis ends it while it is prepared", async () => {
    const before = sockets();
    const opening = open(async (client) => {
      await endedBy(client);
      throw new Error("it is a replica");
    });
    await expect(opening).rejects.toMatchObject({ name: "BackendUnavailableError" });
    await until("the socket to be closed", async () => sockets() === before);
  });
});
