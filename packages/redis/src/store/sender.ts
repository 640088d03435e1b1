import { Further, type Command, type CommandQueue, type RawClient } from "../connection/command-queue.ts";
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
  readonly before?: readonly (string | Buffer)[][];
  /** Receives each of their replies; an `Error` where it was refused. */
  readonly onBefore?: (reply: unknown) => void;
  /** Continues where a key is of another type. @default that is an error */
  readonly onWrongType?: () => Further | undefined;
  /** @default that of the backend */
  readonly link?: Link;
}

/** A call that is sent. */
interface Sent<T> {
  readonly command: Command<T>;
  readonly link: Link;
  args: readonly (string | Buffer)[];
  readonly interpret: (reply: unknown) => T | Further;
  readonly sending: Sending;
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
    return command.promise;
  }

  /** One command, or one that others go before: they settle as one. */
  protected send<T>(
    origin: Origin,
    args: (string | Buffer)[],
    interpret: (reply: unknown) => T | Further,
    sending: Sending = NOTHING_MORE,
  ): Promise<T> {
    const link = sending.link ?? this.link;
    const call: Sent<T> = { command: link.queue.begin<T>(origin), link, args, interpret, sending };
    this.#start(call, sending.before);
    return call.command.promise;
  }

  /** @param before sent just before it; not again where the command continues with another one. */
  #start<T>(call: Sent<T>, before: Sending["before"]): void {
    const { command, link } = call;
    if (command.isOver) return;
    const { queue } = link;
    if (queue.hasRoom) this.#transmit(call, before, queue.client!);
    else link.admit(command, (client) => this.#transmit(call, before, client));
  }

  #transmit<T>(call: Sent<T>, before: Sending["before"], client: RawClient): void {
    const { command, link, sending } = call;
    const { queue } = link;
    if (before !== undefined) {
      const replied = (reply: unknown): void => {
        queue.replied();
        sending.onBefore?.(reply);
      };
      // The reply of the last one shows whether they took effect.
      for (const one of before) client.sendCommand(one).then(replied, replied);
    }
    const answer = client.sendCommand(call.args);
    command.sent((before?.length ?? 0) + 1);
    answer.then(
      (reply) => {
        queue.replied();
        let result: T | Further;
        try {
          result = call.interpret(reply);
        } catch (thrown) {
          return command.fail(thrown);
        }
        if (result instanceof Further) this.#goOn(call, result);
        else command.done(result);
      },
      (error: unknown) => {
        queue.replied();
        this.#refused(call, error);
      },
    );
  }

  #goOn<T>(call: Sent<T>, { args }: Further): void {
    call.args = [...args];
    this.#start(call, undefined);
  }

  #refused<T>(call: Sent<T>, error: unknown): void {
    const { command, args, link, sending } = call;
    const { client } = link.queue;
    if (args[0] === "EVALSHA" && isNoScript(error) && client !== undefined) {
      call.args = ["EVAL", sending.script!.text, ...args.slice(2)];
      this.#transmit(call, undefined, client);
      return;
    }
    const further = isWrongType(error) ? sending.onWrongType?.() : undefined;
    if (further === undefined) command.fail(this.fault(command.origin, error));
    else this.#goOn(call, further);
  }

  protected fault(origin: Origin, error: unknown): unknown {
    if (error instanceof Error && error.message.startsWith("READONLY")) this.link.leaveReplica(error);
    return fault(origin, error);
  }
}

const isNoScript = (error: unknown): boolean => error instanceof Error && error.message.startsWith("NOSCRIPT");

const NOTHING_MORE: Sending = Object.freeze({});
