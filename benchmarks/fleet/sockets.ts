import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { encodeCommand, startOwnRedis, type OwnRedis } from "@hotset/test-servers";
import { paced } from "../processes/paced.ts";
import { infoOf, Meter } from "./meter.ts";
import { stepOf, type Step } from "./results.ts";

/** Keys that all connections hold. */
const KEYS = 10;
/** Further ones, for the bytes of the table: a million items over all connections. */
const ITEMS = 1_000_000;
/** With the usual `maxStaleness`. */
export const HEARTBEATS_PER_SECOND = 2;
/** As many as the queue of the server takes. */
const BURST = 200;

/** Bytes of the tracking table. */
export interface Bytes {
  readonly trackedKeyBytes: number;
  readonly trackedItemBytes: number;
}

/** The costs of bare connections that track, as those of processes do. */
export async function socketCosts(
  count: number,
  rounds: number,
): Promise<{ readonly steps: readonly Step[]; readonly bytes: Bytes }> {
  await using server = await startOwnRedis({ config: ["maxclients 12000", "tracking-table-max-keys 0"] });
  const keys = Array.from({ length: KEYS }, (_, i) => `hotset:fleet::k${i}`);
  for (const key of keys) await server.command("HSET", key, "d", "x".repeat(200));
  const sockets = await Sockets.open(server.port, count);
  const meter = new Meter(server);
  await sockets.send(keys.flatMap(read));
  await meter.rest(2_000);
  const found: Record<"heartbeat" | "push" | "re-read", number[]> = { heartbeat: [], push: [], "re-read": [] };
  for (let round = 0; round < rounds; round += 1) {
    found.heartbeat.push((await meter.us(() => sockets.send(HEARTBEAT))) / count);
    found.push.push((await meter.us(() => sockets.settled(() => written(server, keys)))) / count / KEYS);
    const readEach = async (): Promise<void> => {
      for (const key of keys) await sockets.send(read(key));
    };
    found["re-read"].push((await meter.us(readEach)) / count / KEYS);
  }
  const bytes = await tableBytes(server, sockets, count);
  sockets.close();
  const steps = Object.entries(found).map(([step, us]) => stepOf(step, "sockets", count, us));
  return { steps, bytes };
}

const HEARTBEAT = [["CLIENT", "TRACKINGINFO"], ["ROLE"]];
const read = (key: string): readonly (readonly string[])[] => [
  ["PTTL", key],
  ["HMGET", key, "d", "m"],
];

const encoded = (commands: readonly (readonly string[])[]): Buffer =>
  Buffer.concat(commands.map((command) => encodeCommand(command)));

async function written(server: OwnRedis, keys: readonly string[]): Promise<void> {
  for (const key of keys) await server.command("HSET", key, "d", "y".repeat(200));
}

/** Keys that one connection reads, and then all. */
async function tableBytes(server: OwnRedis, sockets: Sockets, count: number): Promise<Bytes> {
  const keys = Array.from({ length: ITEMS / count }, (_, i) => `hotset:fleet::item${i}`);
  const used = async (): Promise<number> => infoOf(server, "memory", "used_memory");
  const before = await used();
  await sockets.first.send(keys.map((key) => ["PTTL", key]));
  const ofOne = await used();
  await sockets.send(keys.map((key) => ["PTTL", key]));
  const trackedItemBytes = ((await used()) - ofOne) / (ITEMS - keys.length);
  return { trackedItemBytes, trackedKeyBytes: (ofOne - before) / keys.length - trackedItemBytes };
}

/** Bare connections that track, as those of processes do. */
export class Sockets {
  readonly #sockets: readonly Socket[];
  #received = 0;

  private constructor(sockets: readonly Socket[]) {
    this.#sockets = sockets;
    for (const socket of sockets) socket.on("data", ({ length }: Buffer) => (this.#received += length));
  }

  static async open(port: number, count: number): Promise<Sockets> {
    const sockets: Socket[] = [];
    while (sockets.length < count) {
      const more = Array.from({ length: Math.min(BURST, count - sockets.length) }, () => connect(port, "127.0.0.1"));
      await Promise.all(more.map((socket) => once(socket, "connect")));
      sockets.push(...more);
    }
    const opened = new Sockets(sockets);
    await opened.send([
      ["HELLO", "3"],
      ["CLIENT", "TRACKING", "ON"],
    ]);
    return opened;
  }

  get first(): Sockets {
    return new Sockets(this.#sockets.slice(0, 1));
  }

  /** Each connection sends these together; resolves when no more is received. */
  send(commands: readonly (readonly string[])[]): Promise<void> {
    const bytes = encoded(commands);
    return this.settled(() => {
      for (const socket of this.#sockets) socket.write(bytes);
    });
  }

  /** Runs `act`; resolves when something, and then nothing for 100 ms, was received. */
  async settled(act: () => unknown): Promise<void> {
    const before = this.#received;
    await act();
    for (let seen = -1; this.#received === before || seen !== this.#received;) {
      seen = this.#received;
      await sleep(100);
    }
  }

  /** Reads keys that stay as they are, each connection in its turn, and sends heartbeats. @returns how many reads */
  async serve(readsPerSecond: number, forMs: number): Promise<number> {
    const count = this.#sockets.length;
    const [question, heartbeat] = [read("hotset:fleet::stays"), HEARTBEAT].map(encoded) as [Buffer, Buffer];
    const done = { reads: 0, heartbeats: 0 };
    await Promise.all([
      paced(readsPerSecond, forMs, () => this.#sockets[done.reads++ % count]!.write(question)),
      paced(HEARTBEATS_PER_SECOND * count, forMs, () => this.#sockets[done.heartbeats++ % count]!.write(heartbeat)),
    ]);
    return done.reads;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}
