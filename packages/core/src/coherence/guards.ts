import type { FencedBy } from "../contracts/events.ts";
import { KeyNode } from "../primitives/key-table.ts";
import type { Epoch } from "./parts.ts";

/**
 * Something in flight for one key. Two things can happen to it:
 *
 * - fenced: this process called something newer. Its result is stored nowhere. A fence taints, too, and a taint wakes a
 *   flight that waits for another process.
 * - tainted: something may have changed elsewhere. Its result must not become a trusted copy; the backend decides
 *   whether it may be stored.
 *
 * Both end when a flight starts over; not while a write of this process is under way.
 */
export class Guard extends KeyNode {
  /** Whether it is a write on its way to the backend. Writes of one key are sent in turn, so a later one stays. */
  declare readonly isWrite: boolean;
  /** The place of this guard in the order in which guards of this process began. */
  serial: number = nextSerial();
  fencedBy: FencedBy | undefined;
  isTainted = false;
  /** The epoch of its key when it was sent: changes of later epochs may have been missed. */
  epoch: Epoch | undefined;

  constructor(of: "read" | "write" = "read") {
    super();
    this.isWrite = of === "write";
  }

  /** Records the epoch in which the read or write is sent. */
  begin(epoch: Epoch): void {
    this.epoch = epoch;
  }

  /** The first reason stays, except that every reason but `lease` replaces `stale`. */
  fence(by: FencedBy): void {
    // markStale leaves the fallback of a flight; a delete after it does not.
    if (this.fencedBy === undefined || (this.fencedBy === "stale" && by !== "lease")) this.fencedBy = by;
    this.taint();
  }

  /** @param _version of the entry after the change, where it is known. */
  taint(_version?: string): void {
    this.isTainted = true;
  }

  /** Gives up storing the result: it is not the newest, or cannot be shown to be. */
  lose(): void {
    this.fencedBy ??= "lease";
  }

  /** Records that it is sent again, in this epoch: earlier changes no longer taint it. A fence stays. */
  resend(epoch: Epoch): void {
    this.isTainted = false;
    this.epoch = epoch;
  }

  /** Starts over as the newest guard of its key: earlier calls do not concern it, and fences are lifted. */
  beginAnew(): void {
    this.serial = nextSerial();
    this.fencedBy = undefined;
  }
}

let lastSerial = 0;
const nextSerial = (): number => (lastSerial += 1);
