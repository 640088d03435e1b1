/** More tags than this are not kept warm: those that were asked for last are. */
const MAX_TAGS = 128;

/**
 * Keeps the versions of tags in use where Redis evicts what was not used for long: a process that hears of changes knows
 * them by heart, and asks for them once. Losing one would cost a miss for every entry of its tag.
 */
export class WarmTags {
  readonly #send: (args: string[]) => Promise<unknown>;
  /** Redis keys, those asked for last at the end. */
  readonly #keys = new Set<string>();

  /** @param send sends one command; its first key says where it goes. */
  constructor(send: (args: string[]) => Promise<unknown>) {
    this.#send = send;
  }

  /** @param command which asks for versions: an MGET, or a script whose first key is the issuer. */
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

  /** Reads them all. What cannot be read is not missed. */
  touch(): void {
    const bySlot = new Map<string, string[]>();
    for (const key of this.#keys) {
      const slot = key.slice(0, key.indexOf("}"));
      const keys = bySlot.get(slot);
      if (keys === undefined) bySlot.set(slot, [key]);
      else keys.push(key);
    }
    for (const keys of bySlot.values()) this.#send(["MGET", ...keys]).catch(ignore);
  }
}

const ignore = (): void => undefined;
