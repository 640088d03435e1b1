import { ignore } from "../primitives/ignore.ts";

/** The most tags that are kept warm: those used last. */
const MAX_TAGS = 128;

/**
 * Keeps the versions of tags in use from eviction by Redis, which evicts the least recently used keys first: a process
 * that receives changes reads a version once and remembers it. An evicted version would cost a miss for every entry of
 * its tag.
 */
export class WarmTags {
  readonly #send: (args: string[]) => Promise<unknown>;
  /** Redis keys, the most recently used last. */
  readonly #keys = new Set<string>();

  /** @param send sends one command, to the node of its first key. */
  constructor(send: (args: string[]) => Promise<unknown>) {
    this.#send = send;
  }

  /** @param command of versions: an MGET, or a script whose first key is the issuer. Others name no tag. */
  noteInUse(command: readonly (string | Buffer)[]): void {
    const keys = command[0] === "MGET" ? command.slice(1) : command.slice(4, 3 + Number(command[2]));
    for (const key of keys as readonly string[]) {
      this.#keys.delete(key);
      this.#keys.add(key);
    }
    for (const oldest of this.#keys) {
      if (this.#keys.size <= MAX_TAGS) break;
      this.#keys.delete(oldest);
    }
  }

  /** Reads all versions. A failed read is ignored. */
  touch(): void {
    const bySlot = Map.groupBy(this.#keys, (key) => key.slice(0, key.indexOf("}")));
    for (const keys of bySlot.values()) this.#send(["MGET", ...keys]).catch(ignore);
  }
}
