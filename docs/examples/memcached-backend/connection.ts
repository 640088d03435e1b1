import { connect, type Socket } from "node:net";

/** One answer of memcached. */
export interface Reply {
  readonly line: string;
  /** After a `VA`. */
  readonly bytes: Uint8Array;
}

interface Waiting {
  resolve(reply: Reply): void;
  reject(error: unknown): void;
}

/** One connection for any number of calls: memcached answers them in their order. It is not opened again. */
export class Connection {
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  #bytes: Buffer = Buffer.alloc(0);
  #error: unknown = new Error("the connection was closed");
  #silence: NodeJS.Timeout | undefined;

  constructor(host: string, port: number) {
    this.#socket = connect(port, host)
      .setNoDelay()
      .on("data", (chunk) => {
        this.#read(chunk);
        this.#watch();
      })
      .on("error", (error) => (this.#error = error))
      .on("close", () => {
        for (const { reject } of this.#waiting.splice(0)) reject(this.#error);
        this.#watch();
      });
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed;
  }

  send(line: string, bytes?: Uint8Array): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (!this.isOpen) return reject(this.#error);
      this.#waiting.push({ resolve, reject });
      if (this.#waiting.length === 1) this.#watch();
      // In one piece, and copied: the caller may go on to use its buffer.
      const end = "\r\n";
      this.#socket.write(Buffer.concat([Buffer.from(line + end), ...(bytes ? [bytes, Buffer.from(end)] : [])]));
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Begins with a debt, and again with all that is received. Sending does not count: nothing may be read. */
  #watch(): void {
    clearTimeout(this.#silence);
    if (this.#waiting.length === 0) return;
    this.#silence = setTimeout(() => this.#socket.destroy(new Error("no answer")), SILENT_MS);
  }

  #read(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    for (;;) {
      const end = this.#bytes.indexOf("\r\n");
      if (end < 0) return;
      const line = this.#bytes.toString("latin1", 0, end);
      const size = /^VA (\d+)/.exec(line)?.[1];
      const from = end + 2;
      const to = size === undefined ? from : from + Number(size);
      const next = size === undefined ? to : to + 2;
      if (this.#bytes.length < next) return;
      this.#waiting.shift()?.resolve({ line, bytes: this.#bytes.subarray(from, to) });
      this.#bytes = this.#bytes.subarray(next);
    }
  }
}

/** A connection that owes an answer, and has received nothing for so long, is given up. */
const SILENT_MS = 2_000;
