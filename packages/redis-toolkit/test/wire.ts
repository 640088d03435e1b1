import type { RawClient } from "@hotset/redis/internal";
import { flush } from "@hotset/testing";

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

  reply(value: unknown): Promise<void> {
    this.#pending.shift()!.resolve(value);
    return flush();
  }

  fail(error: unknown): Promise<void> {
    this.#pending.shift()!.reject(error);
    return flush();
  }
}
