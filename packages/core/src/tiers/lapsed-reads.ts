import type { Trust } from "../coherence/trust.ts";
import type { Clock } from "../contracts/clock.ts";
import { BackendUnavailableError } from "../contracts/errors.ts";
import type { EntryKey } from "../entry/key.ts";
import { within } from "../primitives/within.ts";
import { BackendRefusedError } from "./backend-calls.ts";
import type { LocalCopies } from "./local-copies.ts";

interface LapsedReadsOf {
  readonly clock: Clock;
  /** Connects to the backend. */
  readonly connect: () => Promise<void>;
  /** The local copies. Without a copy, a read that fails is a miss. */
  readonly copies?: LocalCopies | undefined;
  readonly trust?: Trust | undefined;
}

/**
 * Reads that failed where trust has lapsed: the process was frozen, say. A lost connection does not mean there that the
 * backend is down, and the copy that would be served may be hours old. So the read is repeated once, over the next
 * connection and within the time of the first one. A read changes nothing.
 *
 * If that attempt to connect fails, or takes too long, the backend is down: until its next sign of life reads fail as
 * they do elsewhere.
 */
export class LapsedReads {
  readonly #of: LapsedReadsOf;
  /** When the last attempt failed: none is made for trust that lapsed up to then. */
  #gaveUp = -Infinity;

  constructor(of: LapsedReadsOf) {
    this.#of = of;
  }

  /**
   * @param error of the read.
   * @param leftMs of its time.
   * @returns whether it is to be repeated now; `undefined` where it is not.
   */
  again(error: unknown, keys: readonly EntryKey[], leftMs: number): Promise<boolean> | undefined {
    const { clock, connect, copies, trust } = this.#of;
    if (!(error instanceof BackendUnavailableError) || error instanceof BackendRefusedError || !(leftMs > 0))
      return undefined;
    const now = clock.now();
    let since: number | undefined;
    for (const { local } of keys) if (copies?.hasLiving(local) === true) since ??= trust?.lapsedSince(local, now);
    if (since === undefined || since <= this.#gaveUp) return undefined;
    const gaveUp = (): boolean => {
      this.#gaveUp = Math.max(this.#gaveUp, since);
      return false;
    };
    const connected = connect().then(() => true, gaveUp);
    return within(clock, leftMs, connected, gaveUp);
  }
}
