import { targetOf } from "../semantics/target.ts";
import type { PlainRequest } from "./messages.ts";

/** A request that changes something, until its answer is stored, or is not. */
export interface Change {
  readonly path: string;
  /** Whether anything newer came since its request: a change of its path or tags, or the head of another answer. */
  isOvertaken: boolean;
}

/**
 * The changes of this process that are under way. Their answers may be older than the change by another request that
 * came later and was answered first: such an answer must not be stored.
 */
export class Overtaking {
  readonly #changes = new Map<string, Set<Change>>();

  begin(url: string): Change {
    const change = { path: pathOf(url), isOvertaken: false };
    const sameUrl = this.#changes.get(change.path);
    if (sameUrl === undefined) this.#changes.set(change.path, new Set([change]));
    else sameUrl.add(change);
    return change;
  }

  end(change: Change): void {
    const sameUrl = this.#changes.get(change.path);
    sameUrl?.delete(change);
    if (sameUrl?.size === 0) this.#changes.delete(change.path);
  }

  /** Another request changes these URLs. */
  byChange(of: Change, urls: readonly string[]): void {
    for (const path of new Set(urls.map(pathOf)))
      for (const each of this.#changes.get(path) ?? []) if (each !== of) each.isOvertaken = true;
  }

  /**
   * The head of an answer to a safe request, which its client may have: it is in no store until its body has come. One
   * that was asked before the change counts, too, since which of the two its handler read first is not known.
   */
  byAnswer({ url }: PlainRequest): void {
    if (this.#changes.size === 0) return;
    for (const each of this.#changes.get(pathOf(url)) ?? []) each.isOvertaken = true;
  }

  /** A purge may concern all: which tags their answers have is known with their heads. */
  byPurge(): void {
    for (const sameUrl of this.#changes.values()) for (const each of sameUrl) each.isOvertaken = true;
  }
}

/** URLs of one path may have one key, if queries are left out of it. */
const pathOf = (url: string): string => targetOf(url.split("?", 1)[0]!);
