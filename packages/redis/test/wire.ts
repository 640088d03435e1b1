import { flush } from "@hotset/testing";
import type { RawClient } from "../src/connection/command-queue.ts";

/** A client whose replies the test gives, to the oldest command first. */
export class Wire implements RawClient {
  readonly sent: string[] = [];
  readonly #pending: { resolve(reply: unknown): void; reject(error: unknown): void }[] = [];

  sendCommand(args: (string | Buffer)[]): Promise<unknown> {
    this.sent.push(args.join(" "));
    return new Promise((resolve, reject) => {
      this.#pending.push({ resolve, reject });
    });
  }

  /** The oldest command, to be settled in another order. */
  take(): { resolve(reply: unknown): void; reject(error: unknown): void } {
    return this.#pending.shift()!;
  }

  reply(value: unknown): Promise<void> {
    this.#pending.shift()!.resolve(value);
    return flush();
  }

  fail(error: unknown): Promise<void> {
    this.#pending.shift()!.reject(error);
    return flush();
  }

  /** As node-redis does with all that has no reply when a connection ends. */
  cut(error: Error): void {
    for (const { reject } of this.#pending.splice(0)) reject(error);
  }
}
