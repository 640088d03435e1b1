import type { Clock } from "../contracts/clock.ts";

/** One decision about a key, for people: which tier answered, why a copy would not do, which lease, fence or version. */
export interface Decision {
  /** How long ago, in milliseconds. */
  readonly agoMs: number;
  readonly what: "call" | "copy" | "backend" | "lease" | "load" | "store" | "write" | "changed";
  /** Text, which may change: not for programs. Holds no value. */
  readonly why: string;
}

interface Note {
  /** The local key, or the tag prefix of a namespace: then it is about every key there. */
  readonly at: string;
  readonly noted: number;
  readonly what: Decision["what"];
  readonly why: string;
}

/** The last decisions of a cache, in a ring of a fixed size. A cache that keeps none has no journal. */
export class DecisionLog {
  readonly #clock: Clock;
  readonly #size: number;
  readonly #notes: Note[] = [];
  #next = 0;

  constructor(clock: Clock, size: number) {
    this.#clock = clock;
    this.#size = size;
  }

  note(at: string, what: Decision["what"], why: string): void {
    this.#notes[this.#next] = { at, noted: this.#clock.now(), what, why };
    this.#next = (this.#next + 1) % this.#size;
  }

  /** Oldest first. @param at any of these. */
  about(at: readonly string[]): readonly Decision[] {
    const now = this.#clock.now();
    const inOrder = [...this.#notes.slice(this.#next), ...this.#notes.slice(0, this.#next)];
    return inOrder
      .filter((note) => at.includes(note.at))
      .map(({ noted, what, why }) => ({ agoMs: now - noted, what, why }));
  }
}
