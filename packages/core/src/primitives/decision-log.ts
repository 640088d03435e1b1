import type { Clock } from "../contracts/clock.ts";

/**
 * One decision about a key, for people: which tier answered, why a copy was not served, which lease, fence or version.
 */
export interface Decision {
  /** How long ago, in milliseconds. */
  readonly agoMs: number;
  /** The subject of the decision. */
  readonly what: "call" | "copy" | "backend" | "lease" | "load" | "store" | "write" | "changed";
  /** Text, which may change: not for programs. Holds no value. */
  readonly why: string;
}

interface Note {
  /** A local key, or the tag prefix of a namespace for a decision about every key there. */
  readonly subject: string;
  readonly notedAt: number;
  readonly what: Decision["what"];
  readonly why: string;
}

/** The last decisions of a cache, in a ring of a fixed size. A cache that keeps none has no `DecisionLog`. */
export class DecisionLog {
  readonly #clock: Clock;
  readonly #size: number;
  readonly #notes: Note[] = [];
  #next = 0;

  constructor(clock: Clock, size: number) {
    this.#clock = clock;
    this.#size = size;
  }

  note(subject: string, what: Decision["what"], why: string): void {
    this.#notes[this.#next] = { subject, notedAt: this.#clock.now(), what, why };
    this.#next = (this.#next + 1) % this.#size;
  }

  /** The decisions about any of these subjects, oldest first. */
  about(subjects: readonly string[]): readonly Decision[] {
    const now = this.#clock.now();
    const inOrder = [...this.#notes.slice(this.#next), ...this.#notes.slice(0, this.#next)];
    return inOrder
      .filter((note) => subjects.includes(note.subject))
      .map(({ notedAt, what, why }) => ({ agoMs: now - notedAt, what, why }));
  }
}
