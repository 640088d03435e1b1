import { TestClock } from "@hotset/core/testing";
import { expect, it } from "vitest";
import { HeardServer, type Manner } from "./heard-server.ts";
import { Hub } from "./hub.ts";
import { OneServer } from "./one-server.ts";

it("a question to a server that was never connected fails, and leaves no rejection unhandled", async () => {
  const unhandled: unknown[] = [];
  const remember = (reason: unknown): void => void unhandled.push(reason);
  process.on("unhandledRejection", remember);
  try {
    const manner: Manner = {
      listen: () => undefined,
      cover: () => Promise.reject(new Error("not asked here")),
      prove: async (send) => (await send(["PING"])) === "PONG",
      end: () => Promise.resolve(),
    };
    const clock = new TestClock();
    const server = new HeardServer(new Hub(clock, () => Promise.resolve(), () => []), clock, manner, new OneServer(() => undefined), true, () => Promise.resolve(true));
    await expect(server.exchange(["PING"], 10)).rejects.toThrow("there is no connection");
    await expect(server.ask(10)).rejects.toThrow("there is no connection");
    await new Promise(setImmediate);
    expect(unhandled).toEqual([]);
  } finally {
    process.off("unhandledRejection", remember);
  }
});
