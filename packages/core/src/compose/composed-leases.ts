import type { EntryKey } from "../entry/key.ts";
import type { EntryLeases, EntryWrite, LeaseAnswer, StoreStatus } from "../tiers/entry-tier.ts";
import type { ComposedReads } from "./composed-reads.ts";
import { partOf, type ComposedSide, type PartRequest } from "./composed-side.ts";
import type { ComposedWrites } from "./composed-writes.ts";
import type { SidePair } from "./side-pair.ts";

export interface ComposedLeasesParts {
  readonly sides: SidePair;
  /** The side that grants the leases. */
  readonly lead: ComposedSide;
  readonly leases: EntryLeases;
  readonly reads: ComposedReads;
  readonly writes: ComposedWrites;
  readonly deadlineMs: number;
}

/**
 * The leases of one side, for both.
 *
 * While that side is unreachable no lease can be asked for, and each process loads for itself. The loaded value is
 * stored on the other side; the side that grants leases refuses it if it is reachable again by then.
 */
export class ComposedLeases implements EntryLeases {
  readonly #parts: ComposedLeasesParts;

  constructor(parts: ComposedLeasesParts) {
    this.#parts = parts;
  }

  async acquire(request: PartRequest, token: string, leaseMs: number, seen: string): Promise<LeaseAnswer> {
    const { sides, lead, leases, reads, deadlineMs } = this.#parts;
    const { key } = request;
    const alone: LeaseAnswer = { kind: "granted", seen: "" };
    if (lead.isHidden(key)) await lead.recovery.replay();
    if (lead.isHidden(key)) return alone;
    const checkTags = reads.tagCheckFor(request);
    try {
      const answer = await leases.acquire(partOf(request, checkTags), token, leaseMs, seen);
      if (answer.kind !== "entry" || answer.entry === undefined) return answer;
      // An entry in near is checked against far.
      if (lead === sides.near) return { ...answer, entry: await reads.readMany([request], deadlineMs)[0]! };
      return checkTags === undefined || lead.isComposed ? answer : { ...answer, entry: await checkTags(answer.entry) };
    } catch {
      // The tier has reported it.
      return alone;
    }
  }

  renew(key: EntryKey, token: string, leaseMs: number): Promise<boolean> {
    return this.#parts.leases.renew(key, token, leaseMs);
  }

  release(key: EntryKey, token: string): Promise<void> {
    return this.#parts.leases.release(key, token);
  }

  confirm(key: EntryKey): Promise<string> {
    return this.#parts.leases.confirm(key);
  }

  store(key: EntryKey, write: EntryWrite, token: string, seen: string): Promise<StoreStatus> {
    const { lead, leases, writes } = this.#parts;
    return writes.storeLoaded(key, write, lead, (led) => leases.store(key, led, token, seen));
  }
}
