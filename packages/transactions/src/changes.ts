import type { Namespace } from "@hotset/core";
import { checkKey, checkTags, InvalidArgumentError, tagNames, type NamespacePlace } from "@hotset/core/internal";

/** The changes of one namespace that a transaction makes. Calls throw for a bad key or tag, and after the end. */
export interface ChangesOf {
  /** Deletes these keys if the transaction commits. @throws {InvalidArgumentError} */
  delete(...keys: readonly string[]): void;
  /** Invalidates these tags, in this namespace and below it, if the transaction commits. @throws {InvalidArgumentError} */
  invalidateTags(...tags: readonly string[]): void;
  /** Clears this namespace, and those below it, if the transaction commits. */
  clear(): void;
  /** The changes of a namespace below. @throws {InvalidArgumentError} for a name that no namespace has. */
  namespace(name: string): ChangesOf;
}

/**
 * The changes that a transaction makes in the cache: noted at the call, made once it is committed. From the call on
 * this process stores nothing that a load gives for them, and every other process from before the commit on.
 */
export interface Changes<Tx = unknown> extends ChangesOf {
  /**
   * Runs `body` in a savepoint. If it throws, the savepoint is rolled back, its changes are forgotten, and the error is
   * thrown. Await it: if what it is in ends before it does, that is rolled back with an `InvalidArgumentError`.
   */
  savepoint<T>(body: (tx: Tx, changes: Changes<Tx>) => Promise<T>): Promise<T>;
}

/** Changes as they are noted, sent through an outbox and made. By the path of their namespace. */
export interface NotedChange {
  readonly path: readonly string[];
  readonly keys?: readonly string[];
  readonly tags?: readonly string[];
  readonly clear?: true;
}

/** What a transaction holds: keys and tag keys as backends have them. */
export type Things = ReadonlySet<string>;

/** The changes of one transaction, or of a savepoint in it. */
export class Notes {
  readonly #root: Namespace;
  readonly #onThing: (thing: string) => void;
  readonly #notes = new Map<string, NoteOf>();
  #isOpen = true;
  /** Savepoints in it that have begun and not ended. */
  #savepoints = 0;

  /** @param onThing called at each note, in its turn, with what must not be stored from then on. */
  constructor(root: Namespace, onThing: (thing: string) => void) {
    this.#root = root;
    this.#onThing = onThing;
  }

  get isEmpty(): boolean {
    return this.#notes.size === 0;
  }

  /** Throws for further calls: a body that outlives its transaction. */
  end(): void {
    this.#isOpen = false;
  }

  /**
   * Ends them, since the body has.
   *
   * @throws {InvalidArgumentError} while a savepoint in it runs: its rows would be committed, and its changes lost.
   */
  endOfBody(): void {
    this.end();
    if (this.#savepoints > 0)
      throw new InvalidArgumentError("changes.savepoint: what it is in ended before it did; await it");
  }

  /**
   * Runs the body of a savepoint with separate notes, which become those of the transaction once it has ended well.
   *
   * @throws what `run` rejects with.
   */
  async inside<T>(run: (inner: Notes) => Promise<T>): Promise<T> {
    this.#checkOpen();
    this.#savepoints += 1;
    const inner = new Notes(this.#root, this.#onThing);
    try {
      const result = await run(inner);
      this.#take(inner);
      return result;
    } finally {
      inner.end();
      this.#savepoints -= 1;
    }
  }

  #take(inner: Notes): void {
    for (const [id, { path, keys, tags, isClear }] of inner.#notes) {
      const note = this.#noteOf(id, path);
      for (const key of keys) note.keys.add(key);
      for (const tag of tags) note.tags.add(tag);
      note.isClear ||= isClear;
    }
  }

  all(): readonly NotedChange[] {
    return [...this.#notes.values()].map(({ path, keys, tags, isClear }) => ({
      path,
      ...(keys.size > 0 && { keys: [...keys] }),
      ...(tags.size > 0 && { tags: [...tags] }),
      ...(isClear && { clear: true as const }),
    }));
  }

  of(path: readonly string[]): ChangesOf {
    const { keySpace } = placeOf(path.reduce((namespace, name) => namespace.namespace(name), this.#root));
    const ownPrefix = keySpace.tagPrefixes.at(-1)!;
    const note = (): NoteOf => {
      this.#checkOpen();
      return this.#noteOf(JSON.stringify(path), path);
    };
    return {
      delete: (...keys) => {
        for (const key of keys) checkKey(key);
        for (const key of keys) {
          note().keys.add(key);
          this.#onThing(keySpace.backendPrefix + key);
        }
      },
      invalidateTags: (...tags) => {
        checkTags(tags, "call");
        for (const tag of tags) note().tags.add(tag);
        for (const name of tagNames(tags)) this.#onThing(ownPrefix + name);
      },
      clear: () => {
        note().isClear = true;
        this.#onThing(ownPrefix);
      },
      namespace: (name) => this.of([...path, name]),
    };
  }

  #checkOpen(): void {
    if (!this.#isOpen) throw new InvalidArgumentError("changes: its transaction has ended; await all of its work");
  }

  #noteOf(id: string, path: readonly string[]): NoteOf {
    let note = this.#notes.get(id);
    if (note === undefined) this.#notes.set(id, (note = { path, keys: new Set(), tags: new Set(), isClear: false }));
    return note;
  }
}

/** @returns whether the backend has acknowledged all of them; otherwise they are pending, and are replayed. */
export async function make(root: Namespace, changes: readonly NotedChange[]): Promise<boolean> {
  const calls = changes.flatMap(({ path, keys = [], tags = [], clear }) => {
    const namespace = path.reduce((above, name) => above.namespace(name), root);
    return [
      clear && namespace.clear(),
      keys.length > 0 && namespace.deleteMany(keys),
      tags.length > 0 && namespace.invalidateTags(tags),
    ].filter((call) => call !== false && call !== undefined);
  });
  const results: readonly { readonly status?: string; readonly pending?: number }[] = await Promise.all(calls);
  return results.every(({ status, pending = 0 }) => status !== "pending" && pending === 0);
}

/** Where the entries of a namespace are. */
export function placeOf(namespace: Namespace): NamespacePlace {
  return (namespace as unknown as { readonly [PLACE]: () => NamespacePlace })[PLACE]();
}

interface NoteOf {
  readonly path: readonly string[];
  readonly keys: Set<string>;
  readonly tags: Set<string>;
  isClear: boolean;
}

const PLACE: unique symbol = Symbol.for("hotset.place");
