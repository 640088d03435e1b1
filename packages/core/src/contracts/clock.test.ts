import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { expect, it } from "vitest";
import { systemClock } from "./clock.ts";

it("a late timer runs after the sockets were read", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const connected = once(server, "connection");
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [peer] = (await connected) as [Socket];
  await once(socket, "ready");
  const order: string[] = [];
  socket.on("data", () => order.push("answer"));

  // The bytes arrive at once: they wait in the kernel while this process stands still.
  peer.write("answer");
  systemClock.schedule(() => order.push("timer"), 20);
  const until = systemClock.now() + 100;
  while (systemClock.now() < until);

  await expect.poll(() => order.length).toBe(2);
  expect(order).toEqual(["answer", "timer"]);
  socket.destroy();
  server.close();
});

it("a timer that was cancelled does not run, though its instant has passed", async () => {
  const ran: string[] = [];
  // Both timers fire in one turn, and their callbacks run after it.
  systemClock.schedule(() => cancel(), 1);
  const cancel = systemClock.schedule(() => ran.push("cancelled"), 1);
  await new Promise<void>((resolve) => systemClock.schedule(resolve, 20));
  expect(ran).toEqual([]);
});
