import type { Io } from "../io.ts";
import { numberText } from "./text.ts";

/** A walk that is shorter shows nothing. */
const FIRST_MS = { bar: 1_000, line: 30_000 };
/** How often a bar is drawn, and a line is printed. */
const PAUSE_MS = { bar: 100, line: 30_000 };
const WIDTH = 30;

/** How far a walk is, on the standard error: a bar in a terminal after a second, else a line every 30 seconds. */
export class Progress {
  readonly #io: Io;
  readonly #total: number | undefined;
  readonly #now: () => number;
  #done = 0;
  #nextAt: number;
  #hasBar = false;

  /** @param total keys that will be looked at, at most; `undefined` where that is not known */
  constructor(io: Io, total: number | undefined, now: () => number = () => performance.now()) {
    this.#io = io;
    this.#total = total;
    this.#now = now;
    this.#nextAt = now() + FIRST_MS[this.#kind];
  }

  get #kind(): "bar" | "line" {
    return this.#io.isErrorTerminal === true ? "bar" : "line";
  }

  /** So many more were looked at. */
  add(count: number): void {
    this.#done += count;
    if (this.#now() < this.#nextAt) return;
    this.#nextAt = this.#now() + PAUSE_MS[this.#kind];
    const total = Math.max(this.#done, this.#total ?? 0);
    const text = `${numberText(this.#done)}${this.#total === undefined ? "" : ` of ${numberText(total)}`} keys looked at`;
    if (this.#kind === "line" || this.#total === undefined) return this.#io.complain(`hotset: ${text}\n`);
    const filled = Math.floor((WIDTH * this.#done) / total);
    this.#io.complain(`\r[${"#".repeat(filled).padEnd(WIDTH)}] ${text}`);
    this.#hasBar = true;
  }

  /** Takes the bar away. */
  end(): void {
    if (this.#hasBar) this.#io.complain("\r\u001B[K");
    this.#hasBar = false;
  }
}
