import { setTimeout as sleep } from "node:timers/promises";
import { DRAFT_TTL_MS } from "./facts-cache.ts";
import type { PackageCopy } from "./package-copy.ts";

interface Change {
  readonly madeAt: number;
  /** When an answer first showed it, or a later one. */
  seenAt: number | undefined;
}

/**
 * The package of the copy that is being worked on: one of its files changes repeatedly, and the cache is not notified.
 *
 *     loaded ──half its ttl──▶ changed ──the other half──▶ stale ──▶ served once more while it loads ──▶ visible
 *
 * Each change waits for the load before it. So each load of this package but the first has a change as its cause,
 * however long the demo runs and however slow the machine is.
 */
export class Draft implements AsyncDisposable {
  readonly name: string;
  readonly changes: Change[] = [];
  readonly #copy: PackageCopy;
  readonly #release: string;
  readonly #say: (text: string) => void;
  #next: NodeJS.Timeout | undefined;
  #isDone = false;
  #writing: Promise<void> = Promise.resolve();

  private constructor(copy: PackageCopy, name: string, release: string, say: (text: string) => void) {
    this.name = name;
    this.#copy = copy;
    this.#release = release;
    this.#say = say;
  }

  /** Makes a draft of a released package, before the first request for it. */
  static async of(copy: PackageCopy, name: string, say: (text: string) => void): Promise<Draft> {
    const draft = new Draft(copy, name, await copy.versionOf(name), say);
    await copy.setVersion(name, draft.#version(0));
    return draft;
  }

  /** A cache has loaded and stored its facts. */
  loaded(): void {
    if (this.#isDone || this.#next !== undefined) return;
    this.#next = setTimeout(() => {
      this.#next = undefined;
      this.#writing = this.#change();
    }, DRAFT_TTL_MS / 2);
  }

  /** No load of it begins soon: its next change is still to come, and half its ttl after that. */
  get isFresh(): boolean {
    return this.#next !== undefined;
  }

  /** An answer showed this version. */
  seen(version: string): void {
    const seenAt = performance.now();
    const number = Number(version.slice(this.#version(0).length - 1));
    for (const change of this.changes.slice(0, number)) {
      if (change.seenAt !== undefined) continue;
      change.seenAt = seenAt;
      this.#say(`${version} of ${this.name} is visible, ${Math.round(seenAt - change.madeAt)} ms after the change`);
    }
  }

  get visible(): number {
    return this.changes.filter(({ seenAt }) => seenAt !== undefined).length;
  }

  /** The longest time until a change was seen; `Infinity` if one was not, `NaN` without a change. */
  get slowestMs(): number {
    return this.changes.reduce(
      (slowest, { madeAt, seenAt }) => Math.max(Number.isNaN(slowest) ? 0 : slowest, (seenAt ?? Infinity) - madeAt),
      NaN,
    );
  }

  /** No change follows. Resolves when the last is visible, or should have been. */
  async settle(): Promise<void> {
    await this[Symbol.asyncDispose]();
    const last = this.changes.at(-1);
    while (last !== undefined && last.seenAt === undefined && performance.now() < last.madeAt + 2 * DRAFT_TTL_MS)
      await sleep(20);
  }

  /** No change follows. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDone = true;
    clearTimeout(this.#next);
    await this.#writing;
  }

  async #change(): Promise<void> {
    const number = this.changes.length + 1;
    await this.#copy.setVersion(this.name, this.#version(number));
    this.changes.push({ madeAt: performance.now(), seenAt: undefined });
    this.#say(`changed ${this.name} in the copy: its package.json now says ${this.#version(number)}`);
  }

  #version(number: number): string {
    return `${this.#release}-draft.${number}`;
  }
}
