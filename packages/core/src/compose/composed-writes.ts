import type { Awaitable } from "../contracts/awaitable.ts";
import type { DeleteStatus } from "../contracts/backend.ts";
import type { Encoded } from "../entry/codec.ts";
import type { EntryKey } from "../entry/key.ts";
import { whenReady } from "../primitives/thenable.ts";
import type { EntryWrite, StoreStatus } from "../tiers/entry-tier.ts";
import { endingBy } from "./composed-reads.ts";
import type { ComposedSide } from "./composed-side.ts";
import type { ComposedParts } from "./side-pair.ts";

export type WriteStatus = "stored" | "refused";

/** How a write is sent. */
interface Sending<S> {
  readonly first: ComposedSide;
  /** Whether the other side waits until the first has settled. */
  readonly isInTurn: boolean;
  send(side: ComposedSide, write: EntryWrite): Promise<S>;
}

/**
 * Changes of entries on two sides.
 *
 * Changes of one key go to both sides one after another. The next one is sent when both sides have settled the one
 * before, even where a race was answered earlier. A write that one side took succeeds. The other side is not asked for
 * that key until it has taken the write too, or its entry was removed.
 */
export class ComposedWrites {
  readonly #parts: ComposedParts;

  constructor(parts: ComposedParts) {
    this.#parts = parts;
  }

  encode(value: unknown): Awaitable<Encoded> {
    const { near, far, hasOneCodec } = this.#parts.sides;
    return whenReady(near.tier.encode(value), (first) =>
      hasOneCodec
        ? first
        : whenReady(far.tier.encode(value), (second): Encoded => ({ ...first, parts: [first, second] })),
    );
  }

  write(key: EntryKey, write: EntryWrite): Promise<WriteStatus> {
    const { sides, plan } = this.#parts;
    return this.#store(key, write, {
      first: sides.near,
      isInTurn: plan.write === "sequential",
      send: ({ tier }, part) => tier.write(key, part),
    });
  }

  /**
   * Stores a loaded entry: with `store` on the side that grants leases, then on the other one, unless the first says
   * `overtaken`.
   */
  storeLoaded(
    key: EntryKey,
    write: EntryWrite,
    lead: ComposedSide,
    store: (write: EntryWrite) => Promise<StoreStatus>,
  ): Promise<StoreStatus> {
    return this.#store<StoreStatus>(key, write, {
      first: lead,
      isInTurn: true,
      send: (side, part) => (side === lead ? store(part) : side.tier.write(key, part)),
    });
  }

  async remove(key: EntryKey): Promise<DeleteStatus> {
    const { sides } = this.#parts;
    const removed = this.#both(key, "remove", ({ tier }) => tier.remove(key));
    return (await sides.timed("remove", removed)).includes("deleted") ? "deleted" : "missing";
  }

  /**
   * The copy in `near` is removed. So is an entry of `far` whose removal is pending: it is older, and must not come
   * back as stale.
   */
  async markStale(key: EntryKey): Promise<"stale" | "missing"> {
    const { near } = this.#parts.sides;
    const statuses = await this.#both<DeleteStatus | "stale">(key, "markStale", (side) =>
      side === near || side.recovery.covers(key, key.space.tagPrefixes)
        ? side.tier.remove(key)
        : side.tier.markStale(key),
    );
    return statuses.every((status) => status === "missing") ? "missing" : "stale";
  }

  #store<S extends StoreStatus>(key: EntryKey, write: EntryWrite, { first, isInTurn, send }: Sending<S>): Promise<S> {
    const { sides, changes, plan } = this.#parts;
    const other = sides.otherOf(first);
    const answer = Promise.withResolvers<S>();
    const sendTo = async (side: ComposedSide): Promise<S> => {
      const status = await send(side, this.#writeFor(side, write));
      if (status === "overtaken") return status;
      sides.otherOf(side).late.add(key.backend);
      if (plan.write === "race" && status !== "refused") answer.resolve(status);
      return status;
    };
    const change = changes.run(key.backend, write.entry.version, async () => {
      const led = sendTo(first);
      const followed = isInTurn
        ? led.then(
            (status) => (status === "overtaken" ? status : sendTo(other)),
            () => sendTo(other),
          )
        : sendTo(other);
      const outcomes = await Promise.allSettled([led, followed]);
      const isTaken = outcomes.some((outcome) => outcome.status === "fulfilled" && outcome.value !== "overtaken");
      for (const [i, side] of [first, other].entries()) {
        const outcome = outcomes[i]!;
        side.late.delete(key.backend);
        if (isTaken && outcome.status === "rejected") {
          // It failed on one side only: the older entry is removed there.
          side.recovery.addKey(key);
          side.failed(key, outcome.reason);
        } else if (isTaken) side.recovery.forgetKey(key);
      }
      const statuses = sides.answered("write", outcomes);
      answer.resolve(statuses.find((status) => status !== "refused") ?? statuses[0]!);
    });
    sides.inBackground(change.catch(answer.reject));
    return sides.timed("write", answer.promise);
  }

  /** A write in the form in which this side stores it. */
  #writeFor(side: ComposedSide, { entry, encoded, versions }: EntryWrite): EntryWrite {
    const { sides, plan, clock } = this.#parts;
    const [near, far] = sides.hasOneCodec ? [encoded, encoded] : encoded.parts!;
    return side === sides.near
      ? { entry: endingBy(entry, clock.now() + plan.nearTtlMs), encoded: near, versions }
      : { entry, encoded: far, versions };
  }

  /** Runs a change on both sides at once. Rejects when one of them has not acknowledged it. */
  async #both<T>(key: EntryKey, operation: string, run: (side: ComposedSide) => Promise<T>): Promise<readonly T[]> {
    const { sides, changes } = this.#parts;
    const acknowledged = async (side: ComposedSide): Promise<T> => {
      const status = await run(side);
      side.recovery.forgetKey(key);
      return status;
    };
    const changed = changes.run(key.backend, undefined, () =>
      Promise.allSettled([acknowledged(sides.near), acknowledged(sides.far)]),
    );
    sides.inBackground(changed);
    const outcomes = await changed;
    const values = sides.answered(operation, outcomes);
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
    return values;
  }
}
