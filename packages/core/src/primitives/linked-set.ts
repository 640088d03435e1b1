/** A member of a {@link LinkedSet}: of one at a time. */
export interface Linked {
  before: this | undefined;
  after: this | undefined;
}

/**
 * A set of things that come and go all the time, linked to one another. A `Set` that is filled and emptied makes a new
 * table every few dozen members, and each old table, once it has outlived two collections, keeps the next one and its
 * members alive: see `KeyTable`.
 */
export class LinkedSet<T extends Linked> {
  #first: T | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(member: T): this {
    member.before = undefined;
    member.after = this.#first;
    if (this.#first !== undefined) this.#first.before = member;
    this.#first = member;
    this.#size += 1;
    return this;
  }

  /** `false` for a member of none. */
  delete(member: T): boolean {
    const { before, after } = member;
    if (before !== undefined) before.after = after;
    else if (this.#first === member) this.#first = after;
    else return false;
    if (after !== undefined) after.before = before;
    member.before = member.after = undefined;
    this.#size -= 1;
    return true;
  }

  *[Symbol.iterator](): Iterator<T> {
    for (let each = this.#first; each !== undefined; each = each.after) yield each;
  }
}
