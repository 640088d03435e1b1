import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { startMemcached } from "../src/index.ts";

/** What `startMemcached` says of a server that treats a connection so. */
async function startedWith(serve: (socket: Socket) => void): Promise<unknown> {
  const server = createServer(serve);
  onTestFinished(() => void server.close());
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  return startMemcached({ MEMCACHED_URL: `memcached://127.0.0.1:${port}` }).then(
    () => "started",
    (error: unknown) => String(error).replace(String(port), "PORT"),
  );
}

it("a server that ends the connection without an answer does not answer", async () => {
  expect(await startedWith((socket) => void socket.end())).toBe(
    "Error: The memcached at 127.0.0.1:PORT does not answer",
  );
});
