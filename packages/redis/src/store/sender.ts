import { Command, Further, type CommandQueue, type RawClient } from "../connection/command-queue.ts";
import type { Link } from "../connection/link.ts";
import { sendAll } from "../connection/trip.ts";
import type { Script } from "../lua/script.ts";
import { fault, isNoScript, isReply, isWrongType, type Origin } from "../primitives/faults.ts";

/** How a command is sent. */
export interface Sending {
  /**
   * The script that the command names by its hash. It is sent as text where the server does not know it: after a
   * restart, or SCRIPT FLUSH.
   */
  readonly script?: Script | undefined;
  /** Sent just before it, in the same trip. */
  readonly before?: readonly (readonly (string | Buffer)[])[] | undefined;
  /** Continues where a key is of another type. @default that is an error */
  readonly onWrongType?: () => Further | undefined;
  /** @default that of the backend */
  readonly link?: Link;
}

/**
 * Reads the reply of a command.
 *
 * @param replies with those of the ones before it; an `Error` where one was refused, or a SET. The reply of the last
 *   one shows whether they took effect.
 */
type Interpret<T> = (reply: unknown, replies: readonly unknown[]) => T | Further;

/** A call: one command after another, within one deadline. */
class Call<T> extends Command<T> {
  args: readonly (string | Buffer)[];
  readonly link: Link;
  readonly interpret: Interpret<T>;
  readonly sending: Sending;

  constructor(
    link: Link,
    origin: Origin,
    args: readonly (string | Buffer)[],
    interpret: Interpret<T>,
    sending: Sending,
  ) {
    super(link.queue, origin);
    this.link = link;
    this.args = args;
    this.interpret = interpret;
    this.sending = sending;
    link.queue.start(this);
  }
}

const READS = ["read", "ping", "tags", "confirm"] as const;
const CHANGES = ["write", "remove", "markStale", "acquire", "renew", "store", "release"] as const;
export type Operation = (typeof READS)[number] | (typeof CHANGES)[number];

/** Sends the commands of one backend over its link. */
export abstract class Sender {
  protected link: Link;
  protected readonly origins: Readonly<Record<Operation, Origin>>;

  constructor(label: string, link: Link) {
    this.link = link;
    const origins = [...READS, ...CHANGES].map((operation) => [operation, Object.freeze({ tier: label, operation })]);
    this.origins = Object.fromEntries(origins) as Record<Operation, Origin>;
  }

  /**
   * A read, which `send` sends as soon as there is room.
   *
   * @param send gets the queue that it is sent by: once the backend is closed it has another link.
   */
  protected begin<T>(send: (client: RawClient, command: Command<T>, queue: CommandQueue) => void): Promise<T> {
    const { queue } = this.link;
    const command = queue.begin<T>(this.origins.read);
    if (queue.hasRoom) send(queue.client!, command, queue);
    else this.link.admit(command, (client) => send(client, command, queue));
    return command;
  }

  /** One command, or one that others go before: they settle as one. */
  protected send<T>(
    origin: Origin,
    args: readonly (string | Buffer)[],
    interpret: Interpret<T>,
    sending: Sending = NOTHING_MORE,
  ): Promise<T> {
    const call = new Call<T>(sending.link ?? this.link, origin, args, interpret, sending);
    this.#start(call, sending.before);
    return call;
  }

  /** @param before sent just before it; not again where the command continues with another one. */
  #start<T>(call: Call<T>, before: Sending["before"]): void {
    if (call.isOver) return;
    const { link } = call;
    if (link.queue.hasRoom) this.#transmit(call, before, link.queue.client!);
    else link.admit(call, (client) => this.#transmit(call, before, client));
  }

  #transmit<T>(call: Call<T>, before: Sending["before"], client: RawClient): void {
    const { queue } = call.link;
    const commands = before === undefined ? [call.args] : [...before, call.args];
    sendAll(client, commands, (replies) => {
      queue.replied(replies.length);
      const last = replies.at(-1);
      if (last instanceof Error && !(call.args[0] === "SET" && isReply(last))) return this.#refused(call, last);
      let result: T | Further;
      try {
        result = call.interpret(last, replies);
      } catch (thrown) {
        return call.fail(thrown);
      }
      if (result instanceof Further) this.#goOn(call, result);
      else call.done(result);
    });
    call.sent(commands.length);
  }

  #goOn<T>(call: Call<T>, { args }: Further): void {
    call.args = args;
    this.#start(call, undefined);
  }

  #refused<T>(call: Call<T>, error: unknown): void {
    const { args, link, sending } = call;
    const { client } = link.queue;
    // One that was given up is not sent again: it would come behind what was called since.
    if (args[0] === "EVALSHA" && isNoScript(error) && client !== undefined && !call.isOver) {
      call.args = ["EVAL", sending.script!.text, ...args.slice(2)];
      this.#transmit(call, undefined, client);
      return;
    }
    const further = isWrongType(error) ? sending.onWrongType?.() : undefined;
    if (further === undefined) call.fail(this.fault(call.origin, error));
    else this.#goOn(call, further);
  }

  protected fault(origin: Origin, error: unknown): unknown {
    if (error instanceof Error && error.message.startsWith("READONLY")) this.link.leaveReplica(error);
    return fault(origin, error);
  }
}

const NOTHING_MORE: Sending = Object.freeze({});
