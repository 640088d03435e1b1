import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { RespClient, type OwnRedis } from "@hotset/test-servers";
import { inShort, type Conditions, type Figure, type Trial } from "../trial.ts";

const LISTENERS = 200;
const KEYS = 1_000;
const FOR_MS = 5_000;
const TURN_MS = 10;
const PER_SECOND = 1_000;

/** The commands of each listener after HELLO 3; does it read keys, and read them again when they are pushed? */
const KINDS: readonly (readonly [what: string, command: readonly string[] | undefined, holders: number])[] = [
  ["no listener tracks", undefined, 0],
  ["each receives every write (broadcasting)", ["CLIENT", "TRACKING", "ON", "BCAST", "NOLOOP", "PREFIX", "f:"], 0],
  ["each receives keys that it has read; none reads these", ["CLIENT", "TRACKING", "ON"], 0],
  ["the same; each key is held by 2, which read it again", ["CLIENT", "TRACKING", "ON"], 2],
  ["the same; each key is held by 20, which read it again", ["CLIENT", "TRACKING", "ON"], 20],
];

/** The price for Redis of 1,000 writes a second with 200 bare connections that listen, by the way they do. */
export const fleetOnTheWire = ({ server }: Conditions): Trial => ({
  name: "fleet on the wire: 200 bare listeners",
  async run() {
    const figures: Figure[] = [];
    for (const [what, command, holders] of KINDS) {
      const listeners = await Promise.all(
        Array.from({ length: LISTENERS }, (_, i) => listen(server.port, command, keysOf(i, holders))),
      );
      const { share, bytes, writes } = await measured(server);
      for (const socket of listeners) socket.destroy();
      figures.push({
        what,
        unit: " % of a core",
        value: share * 100,
        remark: `${inShort((share * FOR_MS * 1_000) / writes)} us and ${inShort(bytes / writes)} bytes out for each write; ${inShort(writes / (FOR_MS / 1_000))} writes/s`,
      });
      await sleep(200);
    }
    return figures;
  },
});

/** Spread evenly: each key has `holders` of the listeners. */
const keysOf = (listener: number, holders: number): readonly string[] =>
  Array.from({ length: KEYS }, (_, i) => i)
    .filter((i) => (listener - i * holders + KEYS * LISTENERS) % LISTENERS < holders)
    .map((i) => `f:${i}`);

async function listen(port: number, command: readonly string[] | undefined, keys: readonly string[]): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  const read = (key: string): string => `*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n`;
  socket.write("*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n");
  if (command !== undefined)
    socket.write(`*${command.length}\r\n${command.map((word) => `$${word.length}\r\n${word}\r\n`).join("")}`);
  socket.write(keys.map(read).join(""));
  await new Promise<void>((resolve) => socket.once("data", () => resolve()));
  socket.on("data", (chunk: Buffer) => {
    if (keys.length === 0) return;
    const pushed = String(chunk).matchAll(/invalidate\r\n\*1\r\n\$\d+\r\n(f:\d+)\r\n/g);
    const again = Array.from(pushed, ([, key]) => read(key!)).join("");
    if (again !== "") socket.write(again);
  });
  return socket;
}

async function measured(
  server: OwnRedis,
): Promise<{ readonly share: number; readonly bytes: number; readonly writes: number }> {
  const writer = RespClient.fromUrl(server.url);
  const used = async (): Promise<{ readonly seconds: number; readonly bytes: number }> => {
    const [cpu, stats] = [await server.info("cpu"), await server.info("stats")];
    return {
      seconds: Number(cpu["used_cpu_sys"]) + Number(cpu["used_cpu_user"]),
      bytes: Number(stats["total_net_output_bytes"]),
    };
  };
  let writes = 0;
  const write = async (): Promise<void> => {
    const sent: Promise<unknown>[] = [];
    // Each in a turn of the server's own, as those of many processes are.
    for (let i = 0; i < (PER_SECOND * TURN_MS) / 1_000; i += 1) {
      writes += 1;
      sent.push(writer.command("SET", `f:${(writes * 7) % KEYS}`, "x".repeat(200)));
      await sent.at(-1);
    }
  };
  await write();
  writes = 0;
  const startedAt = performance.now();
  const before = await used();
  for (let turn = 1; performance.now() - startedAt < FOR_MS; turn += 1) {
    await write();
    await sleep(Math.max(0, startedAt + turn * TURN_MS - performance.now()));
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  const after = await used();
  writer.close();
  return { share: (after.seconds - before.seconds) / seconds, bytes: after.bytes - before.bytes, writes };
}
