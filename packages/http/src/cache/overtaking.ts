import { targetOf } from "../semantics/target.ts";

/** A request that changes something, until its answer may be stored. */
export interface Change {
  readonly path: string;
  /** Whether something newer changed its path, or tags, since its request came. */
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

  /** A purge may concern all: which tags their answers have is known with their heads. */
  byPurge(): void {
    for (const sameUrl of this.#changes.values()) for (const each of sameUrl) each.isOvertaken = true;
  }
}

/** URLs of one path may have one key, if queries are left out of it. */
const pathOf = (url: string): string => targetOf(url.split("?", 1)[0]!);
