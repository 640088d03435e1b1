import { Command, Further, type CommandQueue, type RawClient } from "../connection/command-queue.ts";
import type { Link } from "../connection/link.ts";
import type { Script } from "../lua/script.ts";
import { fault, isWrongType, type Origin } from "../primitives/faults.ts";

/** How a command is sent. */
export interface Sending {
  /**
   * The script that the command names by its hash. It is sent as text where the server does not know it: after a
   * restart, or SCRIPT FLUSH.
   */
  readonly script?: Script | undefined;
  /** Sent just before it, in the same trip. */
  readonly before?: readonly (readonly (string | Buffer)[])[] | undefined;
  /** Receives each of their replies; an `Error` where it was refused. */
  readonly onBefore?: (reply: unknown) => void;
  /** Continues where a key is of another type. @default that is an error */
  readonly onWrongType?: () => Further | undefined;
  /** @default that of the backend */
  readonly link?: Link;
}

/** A call: one command after another, within one deadline. */
class Call<T> extends Command<T> {
  args: readonly (string | Buffer)[];
  readonly link: Link;
  readonly interpret: (reply: unknown) => T | Further;
  readonly sending: Sending;

  constructor(
    link: Link,
    origin: Origin,
    args: readonly (string | Buffer)[],
    interpret: (reply: unknown) => T | Further,
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

export type Operation =
  | "read"
  | "write"
  | "remove"
  | "markStale"
  | "ping"
  | "tags"
  | "acquire"
  | "renew"
  | "store"
  | "release"
  | "confirm";

/** Sends the commands of one backend over its link. */
export abstract class Sender {
  protected link: Link;
  protected readonly origins: Readonly<Record<Operation, Origin>>;

  constructor(label: string, link: Link) {
    this.link = link;
    const origin = (operation: Operation): Origin => Object.freeze({ tier: label, operation });
    this.origins = {
      read: origin("read"),
      write: origin("write"),
      remove: origin("remove"),
      markStale: origin("markStale"),
      ping: origin("ping"),
      tags: origin("tags"),
      acquire: origin("acquire"),
      renew: origin("renew"),
      store: origin("store"),
      release: origin("release"),
      confirm: origin("confirm"),
    };
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
    interpret: (reply: unknown) => T | Further,
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
    if (before !== undefined) {
      const { onBefore } = call.sending;
      const replied = (reply: unknown): void => {
        queue.replied();
        onBefore?.(reply);
      };
      // The reply of the last one shows whether they took effect.
      for (const one of before) client.sendCommand(one).then(replied, replied);
    }
    const answer = client.sendCommand(call.args);
    call.sent((before?.length ?? 0) + 1);
    answer.then(
      (reply) => {
        queue.replied();
        let result: T | Further;
        try {
          result = call.interpret(reply);
        } catch (thrown) {
          return call.fail(thrown);
        }
        if (result instanceof Further) this.#goOn(call, result);
        else call.done(result);
      },
      (error: unknown) => {
        queue.replied();
        this.#refused(call, error);
      },
    );
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

const isNoScript = (error: unknown): boolean => error instanceof Error && error.message.startsWith("NOSCRIPT");

const NOTHING_MORE: Sending = Object.freeze({});
