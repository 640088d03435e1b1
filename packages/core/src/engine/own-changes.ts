import type { CacheEvents } from "../contracts/events.ts";
import type { OwnChange } from "./verdict.ts";

/** Keys and tags of which the last changes are known; the oldest are forgotten. */
const MOST = 10_000;
/** Namespaces in which one name was changed. */
const MOST_NAMESPACES = 8;

/** Which keys and tags this process changed lately, and in which namespaces. Names are those that events show. */
export class OwnChanges {
  readonly #byName = new Map<string, OwnChange[]>();

  add({ namespace, scope, key, tags = [] }: CacheEvents["invalidate"], at: number): void {
    if (scope === "key" && key !== undefined) this.#add(`key ${key}`, namespace, at);
    else for (const tag of tags) this.#add(`tag ${tag}`, namespace, at);
  }

  /** When the key was changed last in this namespace. */
  of(namespace: readonly string[], key: string): number | undefined {
    return this.#byName.get(`key ${key}`)?.find((change) => isSame(change.namespace, namespace))?.at;
  }

  /** The last change of the same key, or of one of the tags, in another namespace. */
  elsewhere(namespace: readonly string[], key: string, tags: readonly string[]): OwnChange | undefined {
    const names = [
      ...(isTelling(key) ? [`key ${key}`] : []),
      ...tags.filter((tag) => isTelling(tag)).map((tag) => `tag ${tag}`),
    ];
    const found = names
      .flatMap((name) => this.#byName.get(name) ?? [])
      .filter((each) => !isSame(each.namespace, namespace));
    return found.toSorted((one, other) => other.at - one.at)[0];
  }

  #add(name: string, namespace: readonly string[], at: number): void {
    const others = (this.#byName.get(name) ?? []).filter((change) => !isSame(change.namespace, namespace));
    this.#byName.delete(name);
    this.#byName.set(name, [{ namespace, at }, ...others].slice(0, MOST_NAMESPACES));
    if (this.#byName.size > MOST) this.#byName.delete(this.#byName.keys().next().value!);
  }
}

/** Whether the same name in two namespaces means the same thing: `"product:7"` or a UUID does, `"7"` or `"all"` need not. */
const isTelling = (name: string): boolean =>
  /[A-Za-z]/.test(name) && (name.length >= LONG || /[^A-Za-z0-9]/.test(name));
const LONG = 16;

const isSame = (one: readonly string[], other: readonly string[]): boolean =>
  one.length === other.length && one.every((name, i) => name === other[i]);
