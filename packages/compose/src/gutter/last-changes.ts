import type { Clock } from "@hotset/core";

/** When an entry of the gutter was asked for. */
export interface Asked {
  readonly at: number;
  readonly sequence: number;
}

/** The last change of a key by this process. */
interface LastChange {
  running: number;
  /** When it ended. */
  at: number;
  sequence: number;
  /** The last removal from the gutter: when it was sent and acknowledged. */
  removed: { readonly sent: number; readonly acknowledged: number } | undefined;
}

/**
 * The changes by this process that the gutter may not know. An entry of the gutter is served if its load began after
 * them, by the time that it lives there, or if the gutter was emptied of the key since.
 *
 * Bounded: of the keys that are forgotten, each counts as changed when the last of them was.
 */
export class LastChanges {
  readonly #clock: Clock;
  readonly #changes = new Map<string, LastChange>();
  readonly #forgotten = { at: -Infinity, sequence: 0 };
  #sequence = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** To be called before an entry is asked for. */
  asking(): Asked {
    return { at: this.#clock.now(), sequence: this.#sequence };
  }

  /**
   * @param key of an entry, or {@link TAGS}.
   * @returns to be called when the change has ended: `known` where the gutter has carried it out, too.
   */
  begin(key: string): (as: "known" | "unknown") => void {
    const change = this.#changeOf(key);
    change.running += 1;
    return (as) => {
      change.running -= 1;
      if (as === "known") return;
      change.at = this.#clock.now();
      change.sequence = this.#next();
      this.#keep(key, change);
    };
  }

  /** A removal of the key from the gutter is sent now. @returns to be called when it was acknowledged. */
  removing(key: string): () => void {
    const sent = this.#next();
    return () => {
      const change = this.#changeOf(key);
      change.removed = { sent, acknowledged: this.#next() };
      this.#keep(key, change);
    };
  }

  /**
   * How an entry of the gutter compares with the changes of its key, and with tag calls: `changing` while one is under
   * way.
   *
   * @param begunAt `clock.now()` when its load began, at the earliest.
   */
  judge(key: string, begunAt: number, asked: Asked): "newer" | "older" | "changing" {
    const [own, tags] = [this.#changes.get(key), this.#changes.get(TAGS)];
    if ((own?.running ?? 0) > 0 || (tags?.running ?? 0) > 0) return "changing";
    const all = [own, tags, this.#forgotten];
    if (all.every((change) => change === undefined || begunAt > change.at)) return "newer";
    const { sent = -1, acknowledged = Infinity } = own?.removed ?? {};
    const isEmptied = acknowledged <= asked.sequence && all.every((each) => each === undefined || sent > each.sequence);
    return isEmptied ? "newer" : "older";
  }

  #changeOf(key: string): LastChange {
    let change = this.#changes.get(key);
    if (change === undefined) {
      change = { running: 0, at: -Infinity, sequence: 0, removed: undefined };
      this.#keep(key, change);
    }
    return change;
  }

  #next(): number {
    return (this.#sequence += 1);
  }

  #keep(key: string, change: LastChange): void {
    this.#changes.delete(key);
    this.#changes.set(key, change);
    if (this.#changes.size <= MAX_CHANGES) return;
    const [oldest, { running, at }] = this.#changes.entries().next().value!;
    this.#changes.delete(oldest);
    this.#forgotten.at = Math.max(this.#forgotten.at, running > 0 ? this.#clock.now() : at);
    this.#forgotten.sequence = this.#next();
  }
}

/** In the place of a key: the tag calls. No key of an entry begins so. */
export const TAGS = "{~";
const MAX_CHANGES = 10_000;
