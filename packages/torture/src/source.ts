import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Instant, Issue } from "./history.ts";

/**
 * The source of truth of a round: a version for each key, which only grows. It lies in one process; the others ask it
 * over a unix socket, one line of JSON each way.
 *
 * It also keeps changes apart that have no defined order: while a `set` of a key is under way no other change of it
 * begins, and a `set` begins only when none is. docs/guide/failure.md warns programs that write the source in one order
 * and the cache in another: their histories could not be checked. Writes of one key by one process are in order.
 */
export interface Source extends AsyncDisposable {
  readonly path: string;
  /** Every version that was given, in order. */
  readonly issues: readonly Issue[];
  /** For changes by this process. `undefined`: not now, since a change is under way without an order to this one. */
  begin(change: Beginning): readonly number[] | undefined;
  /** The change has settled, or will never. */
  end(change: string): void;
  /** Ends the changes of a process that was killed. */
  endAllOf(who: string): void;
}

export interface Beginning {
  /** `<process>.<number>` */
  readonly change: string;
  readonly keys: readonly string[];
  readonly isSet: boolean;
  /** The change is queued after the others of its process and key. */
  readonly isChained: boolean;
}

/** A message of a process to the source. */
export type ToSource =
  | { readonly i: number; readonly read: string }
  | { readonly i: number; readonly begin: Beginning }
  | { readonly end: string }
  | { readonly tell: Told };

/** A message of a process to the others once its change was acknowledged. */
export interface Told {
  readonly change: string;
  readonly keys: readonly (readonly [key: string, version: number])[];
}

type FromSource =
  | { readonly i: number; readonly v?: number; readonly vs?: readonly number[] }
  | { readonly told: Told }
  | { readonly about: readonly string[] };

/** One change in this number is announced before it is made, so that others read all the time during it. */
const ANNOUNCED = 6;

/**
 * @param now instants of the round
 * @param readers how many other processes learn of each change, in turn
 */
export async function openSource(now: () => Instant, readers: number): Promise<Source> {
  const directory = await mkdtemp(join(tmpdir(), "hotset-source-"));
  const path = join(directory, "source.sock");
  const versions = new Map<string, number>();
  const issues: Issue[] = [];
  const underWay = new Map<string, Beginning>();
  const sockets = new Set<Socket>();

  const begin = (beginning: Beginning): readonly number[] | undefined => {
    const { change, keys, isSet, isChained } = beginning;
    const inTheWay = [...underWay.values()].some(
      (other) =>
        (isSet || other.isSet) &&
        other.keys.some((key) => keys.includes(key)) &&
        !(isChained && other.isChained && whoOf(other) === whoOf(beginning)),
    );
    if (inTheWay) return undefined;
    underWay.set(change, beginning);
    return keys.map((key) => {
      const version = (versions.get(key) ?? 1) + 1;
      versions.set(key, version);
      issues.push({ at: now(), key, version });
      return version;
    });
  };
  const endAllOf = (who: string): void => {
    for (const [change, other] of underWay) if (whoOf(other) === who) underWay.delete(change);
  };

  let turn = 0;
  const sendToOthers = (one: Socket, message: FromSource): void => {
    const others = [...sockets].filter((each) => each !== one);
    for (let i = 0; i < Math.min(readers, others.length); i += 1) sendTo(others[(turn += 1) % others.length]!, message);
  };

  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    readLines(socket, (line) => {
      const asked = JSON.parse(line) as ToSource;
      if ("read" in asked) sendTo(socket, { i: asked.i, v: versions.get(asked.read) ?? 1 });
      else if ("begin" in asked) {
        const vs = begin(asked.begin);
        if (vs !== undefined && issues.length % ANNOUNCED === 0) sendToOthers(socket, { about: asked.begin.keys });
        sendTo(socket, { i: asked.i, ...(vs !== undefined && { vs }) });
      } else if ("end" in asked) underWay.delete(asked.end);
      else sendToOthers(socket, { told: asked.tell });
    });
  });
  await new Promise<void>((listening) => server.listen(path, listening));
  return {
    path,
    issues,
    begin,
    endAllOf,
    end: (change) => void underWay.delete(change),
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((closed) => server.close(closed));
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** The client side, in the processes. */
export interface SourceClient {
  read(key: string): Promise<number>;
  /** `undefined`: not now. */
  begin(change: Beginning): Promise<readonly number[] | undefined>;
  end(change: string): void;
  tell(told: Told): void;
  close(): void;
}

export interface Hearing {
  told(told: Told): void;
  /** Another process is about to change these keys. */
  about(keys: readonly string[]): void;
}

export async function askSource(path: string, hearing: Hearing): Promise<SourceClient> {
  const socket = connect(path);
  await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  const waiting = new Map<number, (answer: { readonly v?: number; readonly vs?: readonly number[] }) => void>();
  let last = 0;
  readLines(socket, (line) => {
    const message = JSON.parse(line) as FromSource;
    if ("told" in message) return hearing.told(message.told);
    if ("about" in message) return hearing.about(message.about);
    waiting.get(message.i)?.(message);
    waiting.delete(message.i);
  });
  const send = (message: ToSource): void => void socket.write(`${JSON.stringify(message)}\n`);
  const ask = (message: (i: number) => ToSource): Promise<{ readonly v?: number; readonly vs?: readonly number[] }> =>
    new Promise((answer) => {
      last += 1;
      waiting.set(last, answer);
      send(message(last));
    });
  return {
    read: async (key) => (await ask((i) => ({ i, read: key }))).v!,
    begin: async (change) => (await ask((i) => ({ i, begin: change }))).vs,
    end: (change) => send({ end: change }),
    tell: (told) => send({ tell: told }),
    close: () => socket.destroy(),
  };
}

const sendTo = (socket: Socket, message: FromSource): void => void socket.write(`${JSON.stringify(message)}\n`);

const whoOf = ({ change }: Beginning): string => change.slice(0, change.indexOf("."));

function readLines(socket: Socket, line: (text: string) => void): void {
  let rest = "";
  socket.setEncoding("utf8");
  socket.on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop()!;
    for (const text of lines) line(text);
  });
}
