import type { Hold } from "@hotset/redis/internal";
import { TestClock } from "@hotset/testing";
import { expect, it } from "vitest";
import { LinkConnection, type ConnectionSettings } from "./link-connection.ts";

it.for([0, 1, 2, 3, 4, 5, 6, 7, 8])(
  "a socket that is open %i turns before close() is closed with all others",
  async (turns) => {
    const socket = Promise.withResolvers<void>();
    let destroyed = 0;
    const session = { address: "one", client: {}, onLost: () => undefined, destroy: () => void (destroyed += 1) };
    const hold = {
      link: { state: "up", onChange: () => () => undefined, queue: {} },
      servers: { isCluster: false, openSession: () => socket.promise.then(() => session) },
      release: async () => undefined,
    } as unknown as Hold;
    const connection = new LinkConnection(hold, {
      clock: new TestClock(),
      connectTimeoutMs: 1_000,
      responseTimeoutMs: 1_000,
      maxInFlight: 1,
      pool: { max: 1, waitMs: 1, idleMs: 1 },
      random: () => 0,
    } as unknown as ConnectionSettings);
    const opening = connection.open({ role: "blocking" }).then(
      ({ isOpen }) => isOpen,
      (error: { readonly code: string }) => error.code,
    );
    socket.resolve();
    for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
    await connection.close();
    expect(["BACKEND_UNAVAILABLE", "CLOSED", true, false]).toContain(await opening);
    expect(destroyed).toBe(1);
  },
);
