import { DecodeError } from "../contracts/errors.ts";

interface Unopened {
  /** The version of the entry that could not be opened. */
  version: string | undefined;
  /** When this process last replaced such an entry. */
  replacedAt: number;
  /** The load that was kept in its place, in this process alone. */
  token: string | undefined;
}

/**
 * Entries that the seal does not open, by key; bounded.
 *
 * One is replaced by the next load. Where it is back soon, another process uses other secrets under the same name, and
 * each would replace the entries of the other for ever: so this process then leaves the entry where it is, and keeps
 * its load as a local copy. The copy is trusted as long as the entry in the backend has the same version: every change
 * of the key is a change of that entry.
 */
export class SealConflicts {
  readonly #unopened = new Map<string, Unopened>();
  #isReported = false;

  /** An entry could not be opened. Returns the error to report: a conflict is reported once for all keys. */
  found(key: string, version: string | undefined, error: DecodeError, now: number): DecodeError | undefined {
    const known = this.#unopened.get(key);
    if (known === undefined) {
      if (this.#unopened.size >= MAX_KEYS) this.#unopened.delete(this.#unopened.keys().next().value!);
      this.#unopened.set(key, { version, replacedAt: -Infinity, token: undefined });
      return error;
    }
    known.version = version;
    if (!isRecent(known, now)) return error;
    if (this.#isReported) return undefined;
    this.#isReported = true;
    return new DecodeError(
      `${error.message}. This process replaced the entry less than a minute ago: another one uses other secrets under the same name. Give both the same keys`,
      { tier: error.tier, operation: error.operation, cause: error.cause },
    );
  }

  /** This process stored an entry. */
  stored(key: string, now: number): void {
    const known = this.#unopened.get(key);
    if (known !== undefined) known.replacedAt = now;
  }

  /** Whether a load must leave the entry `version` where it is. */
  keeps(key: string, version: string, now: number): boolean {
    const known = this.#unopened.get(key);
    return known !== undefined && known.version === version && isRecent(known, now);
  }

  /** The load with this token was kept as a local copy, in place of the entry {@link keeps} was asked for. */
  kept(key: string, token: string): void {
    const known = this.#unopened.get(key);
    if (known !== undefined) known.token = token;
  }

  /** The version of the local copy that `version` in the backend confirms. */
  confirmedBy(key: string, version: string): string {
    const known = this.#unopened.get(key);
    return known?.token !== undefined && known.version === version ? known.token : version;
  }
}

const isRecent = ({ replacedAt }: Unopened, now: number): boolean => now - replacedAt < RECENT_MS;
const RECENT_MS = 60_000;
const MAX_KEYS = 10_000;
