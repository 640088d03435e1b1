/** One line that shows the progress: rewritten in place on a terminal, printed once a second elsewhere. */
export class Progress implements Disposable {
  readonly #out: NodeJS.WriteStream;
  readonly #line: () => string;
  readonly #timer: NodeJS.Timeout;

  constructor(out: NodeJS.WriteStream, line: () => string) {
    this.#out = out;
    this.#line = line;
    this.#timer = setInterval(() => this.#show(), out.isTTY ? 100 : 1_000);
  }

  /** A line that stays, above the one that changes. */
  say(text: string): void {
    this.#clear();
    this.#out.write(`${text}\n`);
    if (this.#out.isTTY) this.#show();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#clear();
  }

  #show(): void {
    this.#clear();
    // A line longer than the terminal is wide would wrap, and could not be cleared.
    this.#out.write(this.#out.isTTY ? this.#line().slice(0, this.#out.columns - 1) : `${this.#line()}\n`);
  }

  #clear(): void {
    if (this.#out.isTTY) this.#out.write("\r\u001b[2K");
  }
}
