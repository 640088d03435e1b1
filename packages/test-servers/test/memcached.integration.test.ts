import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { expect, it, onTestFinished, vi } from "vitest";
import { startMemcached, startOwnMemcached, until } from "../src/index.ts";
import { watchdog } from "../src/watchdog.ts";

/** How `startMemcached` ends with a server that treats a connection so. */
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

it("a server that answers otherwise is not taken for memcached", async () => {
  expect(await startedWith((socket) => socket.on("data", () => socket.write("-ERR unknown command\r\n")))).toBe(
    'Error: The server at 127.0.0.1:PORT is not memcached: it answers "-ERR unknown command"',
  );
});

it("a memcached that does not start is a failure with the end of its log, and leaves no process", async () => {
  const [guard, release] = [vi.spyOn(watchdog, "guard"), vi.spyOn(watchdog, "release")];
  onTestFinished(() => void vi.restoreAllMocks());
  await expect(startOwnMemcached(["--no-such-option"])).rejects.toThrow("unrecognized option '--no-such-option'");
  expect(guard.mock.calls).toHaveLength(1);
  expect(release.mock.calls).toEqual(guard.mock.calls);
});

it("another server on its port is not taken for it, and does not keep it from being started later", async () => {
  await using own = await startOwnMemcached();
  await own.kill();
  const stranger = createServer((socket) => void socket.on("data", () => socket.write("MN\r\n")));
  await once(stranger.listen(own.port, own.host), "listening");
  await expect(own.start()).rejects.toThrow("Address already in use");
  stranger.close();
  await own.start();
  expect(await own.command("mn")).toBe("MN");
});

it("one that ends without its test is released, and started again", async () => {
  const release = vi.spyOn(watchdog, "release");
  onTestFinished(() => void vi.restoreAllMocks());
  await using own = await startOwnMemcached();
  const pid = Number((await own.command("stats")).split(" ")[2]);
  process.kill(pid, "SIGKILL");
  await until("its end", 2_000, async () => release.mock.calls.length === 1);
  expect(release).toHaveBeenCalledWith(pid);
  await own.start();
  expect(await own.command("mn")).toBe("MN");
});
