import type { TagVersions } from "@hotset/core";
import type { Side } from "../side.ts";
import type { GutterStore } from "./gutter-store.ts";
import { TAGS, type LastChanges } from "./last-changes.ts";
import type { Phases } from "./phases.ts";

interface MainChangesOf {
  readonly main: Side;
  readonly phases: Phases;
  readonly changes: LastChanges;
  readonly store: GutterStore;
}

/**
 * The changes by this process. All go to main, whose answer is the result; the cache repeats those that it did not get.
 * These are carried out in the gutter, too: while main is known to be unreachable at the same time, else after it.
 */
export class MainChanges {
  readonly #of: MainChangesOf;
  /**
   * Keys with a change that main may not have got; and after which of `Phases.returns` the gutter had nothing from
   * before it. The cache may have forgotten it by the next one.
   */
  readonly #pending = new Map<string, number | undefined>();

  constructor(of: MainChangesOf) {
    this.#of = of;
  }

  /**
   * Whether the cache is to repeat a change of the key. It forgets that when a store is acknowledged, so the gutter may
   * store nothing.
   */
  isPending(key: string): boolean {
    return this.#pending.has(key);
  }

  async run<T>(operation: string, key: string, inMain: () => Promise<T>): Promise<T> {
    const { main, phases, changes, store } = this.#of;
    // It looks like its repetition, which would end what others have loaded since, time and again.
    const isRepeated = operation === "remove" && this.#pending.get(key) === phases.returns;
    const remove = (): Promise<boolean> => (isRepeated ? Promise.resolve(true) : store.remove(key));
    const end = changes.begin(key);
    let removing = phases.now.of === "gutter" ? remove() : undefined;
    let isKnown = false;
    try {
      const result = await main.call(operation, key, inMain);
      this.#pending.delete(key);
      await removing;
      return result;
    } catch (error) {
      if (!isUnsent(error)) {
        isKnown = await (removing ??= remove());
        this.#failed(key, isKnown);
      }
      throw error;
    } finally {
      end(isKnown ? "known" : "unknown");
    }
  }

  async renewTags(...[tags, mode]: Parameters<TagVersions["renew"]>): Promise<void> {
    const { main, phases, changes, store } = this.#of;
    const isDown = phases.now.of === "gutter";
    // One that the gutter carries out is seen by the versions there.
    const end = isDown ? undefined : changes.begin(TAGS);
    let renewing = isDown ? store.renewTags(tags, mode) : undefined;
    try {
      await main.call("tags", tags[0], () => main.backend.tagVersions!.renew(tags, mode));
    } catch (error) {
      renewing ??= store.renewTags(tags, mode);
      throw error;
    } finally {
      const isKnown = (await renewing) === true;
      if (end !== undefined) end(isKnown ? "known" : "unknown");
      else if (!isKnown) changes.begin(TAGS)("unknown");
    }
  }

  /**
   * A value is stored in main under a lease. Over another one it may be that of a `set` behind a fence, which is a
   * change as any other.
   */
  async store(key: string, isOver: boolean, inMain: () => Promise<boolean>): Promise<boolean> {
    const { main, changes } = this.#of;
    const end = isOver ? changes.begin(key) : undefined;
    try {
      const isStored = await main.call("write", key, inMain);
      // The cache forgets what was pending then.
      if (isStored) this.#pending.delete(key);
      return isStored;
    } finally {
      end?.("unknown");
    }
  }

  /** A load was forced in main: what began before it is older. */
  forced(key: string): void {
    this.#of.changes.begin(key)("unknown");
  }

  #failed(key: string, isKnown: boolean): void {
    // The cache has one `clear` in place of so many.
    if (this.#pending.size >= MAX_PENDING) this.#pending.clear();
    this.#pending.set(key, isKnown ? this.#of.phases.returns : undefined);
  }
}

const isUnsent = (error: unknown): boolean => (error as { readonly code?: string }).code === "ENCODE_FAILED";
const MAX_PENDING = 100_000;
