// The commands of one turn of the loop go through the queue of node-redis as one command of it. No public interface of
// node-redis does that. What this file takes from the inside of it, all of it in `joinCommands` and `Lane`:
//
// 1. `client._getQueue()` is the queue of its commands, one for each connection, and `sendCommand` calls the `addCommand`
//    of that queue before it returns.
// 2. `queue.commandsToWrite()` gives, once, the chunks of each command that is to be written, the first argument as it
//    was given. So an empty buffer is put there for a turn, and exchanged for its commands when these are written.
// 3. `queue.decoder` calls `onReply` or `onErrorReply` for each reply that is no push, and takes the types of a reply
//    from `getTypeMapping()`: the `typeMapping` of the command that is answered next. So a turn, given as that, is at hand.
// 4. `onReply(reply)` ends the command that is answered next. A turn calls it with the reply to its last command.
// 5. A subscription over RESP2 assigns `decoder.onReply`.
//
// Where 1 to 3 are missing, commands go one by one (`joinCommands`, `handsOn`); a reply that no command waits for ends
// the connection. `trip.test.ts` has all five with the installed version; `client-versions.nightly.test.ts` tries every
// version that the dependency allows, and the one after it.

import { builtin, contextOfNow } from "@hotset/core/internal";
import type { Args, RawClient } from "./command-queue.ts";

/** The commands of one call. */
class Trip {
  /** In order; an `Error` where a command was refused. Of its size at first: it would grow to a multiple. */
  readonly replies: unknown[];
  /** How many have come. */
  come = 0;
  readonly done: (replies: readonly unknown[]) => void;
  readonly context = contextOfNow();

  constructor(count: number, done: (replies: readonly unknown[]) => void) {
    this.replies = new Array(count);
    this.done = done;
  }
}

/**
 * The commands of all calls in one turn of the loop, which node-redis takes for one: for each command it makes a
 * promise, and its socket copies each chunk. That costs three times what the rest of the command does: decision 0298.
 *
 * node-redis gets it as the types that replies are decoded as, and so it is at hand when they come.
 */
class Turn {
  /** Blobs, by their type on the wire: `$`. */
  readonly 36 = Buffer;
  /** RESP, as bytes in place of characters; behind what is in `chunks`. */
  text = "";
  readonly chunks: Uint8Array[] = [];
  /** Bytes of the chunks. */
  bytes = 0;
  isWritten = false;
  /** One that is answered is let go. */
  readonly trips: (Trip | undefined)[] = [];
  /** The trip that is answered next. */
  next = 0;

  /** Renders all of them first: one that cannot be changes nothing. @throws {TypeError} for no string and no bytes. */
  add(trip: Trip, commands: readonly (Args | string)[]): void {
    // The replies of others would be counted for it.
    if (commands.length === 0) throw new TypeError("a call must have at least one command");
    let text = this.text;
    let chunks: Uint8Array[] | undefined;
    // By index: an iterator makes an object for each word.
    for (let i = 0; i < commands.length; i += 1) {
      const args = commands[i]!;
      if (typeof args === "string") {
        text += args;
        continue;
      }
      text += COUNTS[args.length] ?? `*${args.length}\r\n`;
      for (let j = 0; j < args.length; j += 1) {
        const arg = args[j]!;
        if (typeof arg === "string")
          text += (arg.length <= SHORT ? WORDS.get(arg) : arg === lastLong ? lastRendered : undefined) ?? rendered(arg);
        else if (!(arg instanceof Uint8Array))
          throw new TypeError(`an argument must be text or bytes, got ${typeof arg}`);
        else if (arg.length <= SMALL) text += `$${arg.length}\r\n${latin1(arg)}\r\n`;
        else {
          (chunks ??= []).push(Buffer.from(`${text}$${arg.length}\r\n`, "latin1"), arg);
          text = "\r\n";
        }
      }
    }
    for (const chunk of chunks ?? []) {
      this.chunks.push(chunk);
      this.bytes += chunk.length;
    }
    this.text = text;
    this.trips.push(trip);
  }

  /** Once, to be written. Nothing of it is kept. */
  take(): readonly Uint8Array[] {
    const taken = [...this.chunks, Buffer.from(this.text, "latin1")];
    this.isWritten = true;
    this.chunks.length = 0;
    this.text = "";
    return taken;
  }
}

/** In the place of the commands until they are written. */
type Placeholder = Buffer & { turn?: Turn };

type Chunk = string | Uint8Array;

/** The part of node-redis' queue that is changed. */
interface Queue {
  addCommand(args: Args, options?: object): Promise<unknown>;
  /** What is to be written: for each command its chunks. */
  commandsToWrite(): Iterable<readonly Chunk[]>;
  readonly decoder: {
    onReply: (reply: unknown) => void;
    onErrorReply: (error: Error) => void;
    /** The type mapping of the command that is answered next. */
    getTypeMapping: () => unknown;
  };
}

/** Lets `client` take the commands of one turn together, unless it lacks what that needs. */
export function joinCommands(client: RawClient & { _getQueue?(): object; destroy?(): void }): void {
  const queue: Partial<Queue> | undefined = client._getQueue?.();
  if (typeof queue?.commandsToWrite !== "function" || typeof queue.decoder?.getTypeMapping !== "function") return;
  if (!handsOn(queue.constructor as new (protocol: number) => Queue)) return;
  client.lane = new Lane(client, queue as Queue);
}

/** The way of the commands of many calls through the queue of node-redis. */
class Lane {
  /** The last command of node-redis, while more can be added to it. */
  #turn: Turn | undefined;
  /** Trips whose replies have come, until they are handed on. */
  #ready: Trip[] | undefined;
  #isSound = true;
  /** What takes the replies of single commands: over RESP2, a subscription replaces it. */
  #single: (reply: unknown) => void;
  readonly #own: (reply: unknown) => void;

  constructor(client: RawClient & { destroy?(): void }, queue: Queue) {
    const { addCommand, commandsToWrite, decoder } = queue;
    const { onReply, onErrorReply, getTypeMapping } = decoder;
    this.#single = this.#own = onReply;
    // In their order with what is sent one by one.
    queue.addCommand = (args, options) => {
      this.#turn = undefined;
      return addCommand.call(queue, args, options);
    };
    queue.commandsToWrite = () => this.#written(commandsToWrite.call(queue));
    const receive = (reply: unknown): void => {
      const turn = getTypeMapping();
      if (!(turn instanceof Turn)) {
        this.#ready = undefined;
        return reply instanceof Error ? onErrorReply(reply) : this.#single(reply);
      }
      const trip = turn.isWritten ? turn.trips[turn.next] : undefined;
      // It answers what was not sent: no later reply would reach its call either.
      if (trip === undefined) {
        this.#isSound = false;
        client.destroy?.();
        throw new Error("node-redis has a reply that no command waits for");
      }
      trip.replies[trip.come++] = reply;
      if (trip.come !== trip.replies.length) return undefined;
      // It may hold much, and others are awaited.
      turn.trips[turn.next++] = undefined;
      this.#end(trip);
      if (turn.next === turn.trips.length) onReply(undefined);
      return undefined;
    };
    const set = (given: typeof onReply): unknown => (this.#single = given);
    Object.defineProperty(decoder, "onReply", { get: () => receive, set });
    decoder.onErrorReply = receive;
  }

  /** Whether trips may be sent past node-redis. Not while it is traced: a tracer sees each command. */
  get isOpen(): boolean {
    return this.#isSound && this.#single === this.#own && TRACED?.hasSubscribers !== true;
  }

  /** @returns a turn that is to be sent with it, unless it goes with the one before. */
  add(trip: Trip, commands: readonly (Args | string)[]): Turn | undefined {
    const last = this.#turn;
    if (last !== undefined && last.bytes + last.text.length < ENOUGH) {
      last.add(trip, commands);
      return undefined;
    }
    const turn = new Turn();
    turn.add(trip, commands);
    return turn;
  }

  /** A new one, for which node-redis gives `answer`. */
  sent(turn: Turn, answer: Promise<unknown>): void {
    this.#turn = turn;
    answer.then(undefined, (error: unknown) => {
      if (this.#turn === turn) this.#turn = undefined;
      for (const each of turn.trips.splice(turn.next)) {
        each!.replies.fill(error, each!.come);
        this.#end(each!);
      }
    });
  }

  /** The texts of neighbours in one chunk, as each is a write of its own. */
  *#written(commands: Iterable<readonly Chunk[]>): Iterable<readonly Chunk[]> {
    let chunks: Chunk[] = [];
    let bytes = 0;
    for (const command of commands) {
      const { turn } = (command[1] as Placeholder | undefined) ?? {};
      if (turn === this.#turn) this.#turn = undefined;
      for (const chunk of turn === undefined ? command : turn.take()) {
        const last = chunks.at(-1);
        if (typeof chunk === "string" && typeof last === "string") chunks[chunks.length - 1] = last + chunk;
        else if (chunk.length !== 0) chunks.push(chunk);
        bytes += chunk.length;
      }
      // Whole commands: what was taken from the queue has to be written.
      if (bytes < ENOUGH) continue;
      yield chunks;
      chunks = [];
      bytes = 0;
    }
    if (chunks.length !== 0) yield chunks;
  }

  /** Behind all replies, and pushes, of the same chunk; and in their order with the replies of single commands. */
  #end(trip: Trip): void {
    if (this.#ready !== undefined) return void this.#ready.push(trip);
    const trips = (this.#ready = [trip]);
    queueMicrotask(() => {
      if (this.#ready === trips) this.#ready = undefined;
      for (const { context, done, replies } of trips)
        try {
          context.runInAsyncScope(done, undefined, replies);
        } catch (error) {
          void Promise.reject(error);
        }
    });
  }
}

/** Whether such a queue hands on the very bytes that it was given: by these a turn is known when it is written. */
function handsOn(QueueOf: new (protocol: number) => Queue): boolean {
  let isSame = KNOWN.get(QueueOf);
  if (isSame !== undefined) return isSame;
  try {
    const [queue, bytes] = [new QueueOf(3), Buffer.alloc(0)];
    void queue.addCommand([bytes]);
    isSame = Array.from(queue.commandsToWrite())[0]?.[1] === bytes;
  } catch {
    isSame = false;
  }
  KNOWN.set(QueueOf, isSame);
  return isSame;
}

const KNOWN = new WeakMap<object, boolean>();
const TRACED = builtin("node:diagnostics_channel")?.tracingChannel("node-redis:command");

/** Whether the commands of one turn go together: then they may be given as they go over the wire. */
export const hasOpenLane = ({ lane }: RawClient): boolean => lane instanceof Lane && lane.isOpen;

/**
 * Sends commands one right after another, and calls `done` when all were answered, in the async context of now: with
 * the replies in order, an `Error` for a command that was refused, or whose connection was lost.
 *
 * @param commands one at least; only where there is an open lane some as text, of which each may be several.
 * @param count how many there are.
 * @returns the replies: `undefined` for those that have not come.
 * @throws {TypeError} for an argument that is no text and no bytes.
 */
export function sendAll(
  client: RawClient,
  commands: readonly (Args | string)[],
  done: (replies: readonly unknown[]) => void,
  count: number = commands.length,
): readonly unknown[] {
  const { lane } = client;
  if (lane instanceof Lane && lane.isOpen) {
    const trip = new Trip(count, done);
    const turn = lane.add(trip, commands);
    if (turn === undefined) return trip.replies;
    const placeholder: Placeholder = Buffer.alloc(0);
    placeholder.turn = turn;
    lane.sent(turn, client.sendCommand([placeholder], { typeMapping: turn }));
    return trip.replies;
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
      .sendCommand(commands[i] as Args)
      .then(replied, (error: unknown) => replied(error instanceof Error ? error : new Error(String(error))));
  }
  return replies;
}

/** After as many bytes the socket is asked whether it takes more. */
const ENOUGH = 65_536;

/** A larger argument is a chunk of its own: it is not copied. */
const SMALL = 2_048;

const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");

/** Names of commands and fields, flags: nearly all that is as short is one of a few dozen. */
const SHORT = 8;
const WORDS = new Map<string, string>();
/** How commands of so many words begin, for those with few. */
const COUNTS: readonly string[] = Array.from({ length: 16 }, (_, words) => `*${words}\r\n`);
/** How words of so many bytes begin, for short ones: the table saves a batch of hits a string for each word. */
const LENGTHS: readonly string[] = Array.from({ length: 128 }, (_, bytes) => `$${bytes}\r\n`);
/** The last long word and its rendering: all commands of a call have one key. */
let lastLong = "";
let lastRendered = "";

/** A word as it goes over the wire: RESP, as bytes in place of characters. */
export function rendered(word: string): string {
  const bytes = Buffer.byteLength(word);
  const length = LENGTHS[bytes] ?? `$${bytes}\r\n`;
  const text = `${length}${bytes === word.length ? word : Buffer.from(word).toString("latin1")}\r\n`;
  if (word.length > SHORT) {
    lastLong = word;
    lastRendered = text;
  } else if (WORDS.size < 1_000) WORDS.set(word, text);
  return text;
}
