import { tracingChannel } from "node:diagnostics_channel";
import type { Args, RawClient } from "./command-queue.ts";

/**
 * Commands that node-redis takes for one, with one promise for their replies: it makes a promise and a write of the
 * socket for each, which cost more than Redis needs for the command.
 *
 * node-redis gets it as the types that replies are decoded as, and so it is at hand when they come.
 */
class Trip {
  /** In order; an `Error` where a command was refused. Of its size at first: it would grow to a multiple. */
  readonly replies: unknown[];
  /** How many have come. */
  come = 0;
  /** Blobs, by their type on the wire: `$`. */
  readonly 36 = Buffer;

  constructor(count: number) {
    this.replies = new Array(count);
  }
}

/** In the place of the commands until they are written: after that nothing of them is kept. */
type Placeholder = Buffer & { commands?: readonly Args[] };

type Chunk = string | Buffer;

/** The part of node-redis' queue that is changed. */
interface Queue {
  /** What is to be written: for each command its chunks. */
  commandsToWrite(): Iterable<readonly Chunk[]>;
  readonly decoder: {
    onReply: (reply: unknown) => void;
    onErrorReply: (error: Error) => void;
    /** That of the command which is answered next. */
    getTypeMapping: () => unknown;
  };
}

/** Joins what `client` writes in one turn, and lets it take commands together, unless it lacks what that needs. */
export function joinCommands(client: RawClient & { _getQueue?(): object }): void {
  const queue: Partial<Queue> | undefined = client._getQueue?.();
  const { decoder, commandsToWrite } = queue ?? {};
  if (typeof commandsToWrite !== "function" || typeof decoder?.getTypeMapping !== "function") return;
  // The texts of neighbours in one chunk, as each is a write of its own.
  queue!.commandsToWrite = function* () {
    let chunks: Chunk[] = [];
    let text = "";
    for (const command of commandsToWrite.call(queue)) {
      const together = (command[1] as Placeholder | undefined)?.commands;
      for (const chunk of together === undefined ? command : encoded(together)) {
        if (typeof chunk === "string") text += chunk;
        else {
          chunks.push(text, chunk);
          text = "";
        }
      }
      // Whole commands: what was taken from the queue has to be written.
      if (text.length < ENOUGH.characters && chunks.length < ENOUGH.chunks) continue;
      yield [...chunks, text];
      chunks = [];
      text = "";
    }
    if (text !== "") yield [...chunks, text];
  };
  const { onReply, onErrorReply } = decoder;
  const receive = (reply: unknown): void => {
    const trip = decoder.getTypeMapping();
    if (!(trip instanceof Trip)) return reply instanceof Error ? onErrorReply(reply) : onReply(reply);
    trip.replies[trip.come++] = reply;
    if (trip.come === trip.replies.length) onReply(trip.replies);
  };
  decoder.onReply = receive;
  decoder.onErrorReply = receive;
  // Whoever traces is to see each command; and a subscription takes the replies of RESP2.
  client.takesTogether = () => decoder.onReply === receive && !TRACED.hasSubscribers;
}

const TRACED = tracingChannel("node-redis:command");

/**
 * Sends commands one right after another, and calls `done` when all were answered, in the async context of now: with
 * the replies in order, an `Error` for a command that was refused, or whose connection was lost.
 *
 * @returns the replies: `undefined` for those that have not come.
 */
export function sendAll(
  client: RawClient,
  commands: readonly Args[],
  done: (replies: readonly unknown[]) => void,
): readonly unknown[] {
  if (commands.length > 1 && client.takesTogether?.() === true) {
    const trip = new Trip(commands.length);
    const { replies } = trip;
    const placeholder: Placeholder = Buffer.alloc(0);
    placeholder.commands = commands;
    client.sendCommand([placeholder], { typeMapping: trip }).then(
      () => done(replies),
      (error: unknown) => done(replies.fill(error, trip.come)),
    );
    return replies;
  }
  const replies: unknown[] = [];
  let open = commands.length;
  for (let i = 0; i < commands.length; i += 1) {
    const replied = (reply: unknown): void => {
      replies[i] = reply;
      open -= 1;
      if (open === 0) done(replies);
    };
    client
      .sendCommand(commands[i]!)
      .then(replied, (error: unknown) => replied(error instanceof Error ? error : new Error(String(error))));
  }
  return replies;
}

/** After as much the socket is asked whether it takes more. */
const ENOUGH = { characters: 16_384, chunks: 64 };

/** Commands as RESP. */
function encoded(commands: readonly Args[]): readonly Chunk[] {
  const chunks: Chunk[] = [];
  let text = "";
  for (const args of commands) {
    text += `*${args.length}\r\n`;
    for (const arg of args) {
      if (typeof arg === "string") text += `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`;
      else {
        chunks.push(`${text}$${arg.length}\r\n`, arg);
        text = "\r\n";
      }
    }
  }
  chunks.push(text);
  return chunks;
}
