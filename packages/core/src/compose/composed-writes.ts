import type { Awaitable } from "../contracts/awaitable.ts";
import type { DeleteStatus } from "../contracts/backend.ts";
import type { Guard } from "../coherence/guards.ts";
import type { Encoded } from "../entry/codec.ts";
import type { Entry } from "../entry/entry.ts";
import type { EntryKey } from "../entry/key.ts";
import type { KeyedQueue } from "../primitives/keyed-queue.ts";
import { whenReady } from "../primitives/once.ts";
import type { EntryWrite, StoreStatus } from "../tiers/entry-tier.ts";
import { settle, type ComposedSide } from "./composed-side.ts";
import type { NearCopies } from "./near-copies.ts";
import type { Outcomes, SidePair } from "./side-pair.ts";

export type WriteStatus = "stored" | "refused";

export interface ComposedWritesParts {
  readonly sides: SidePair;
  readonly copies: NearCopies;
  /** Changes by this process, by key. */
  readonly changes: KeyedQueue;
  readonly order: "sequential" | "parallel" | "race";
}

/**
 * Changes of entries on two sides.
 *
 * Changes of one key go to both sides one after another. The next one is sent when both sides have settled the one
 * before, even where a race was answered earlier. A write that one side took succeeds. The other side is not asked for
 * that key until it has taken the write too, or its entry was removed.
 */
export class ComposedWrites {
  readonly #parts: ComposedWritesParts;

  constructor(parts: ComposedWritesParts) {
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
    const { sides, order } = this.#parts;
    const change = this.#change(key, (guard) => {
      const track = this.#tracker(key);
      const send = (side: ComposedSide): Promise<WriteStatus> =>
        track(side, side.tier.write(key, this.#writeFor(side, write)));
      const near = send(sides.near);
      const sendFar = (): Promise<WriteStatus> => send(sides.far);
      const far = order === "sequential" ? near.then(sendFar, sendFar) : sendFar();
      return this.#written(key, guard, write.entry, [near, far]);
    });
    return sides.timed("write", change);
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
    const { sides } = this.#parts;
    const other = sides.otherOf(lead);
    const change = this.#change(key, (guard) => {
      const track = this.#tracker(key);
      const led = track(lead, store(this.#writeFor(lead, write)));
      const sendOther = (): Promise<StoreStatus> => track(other, other.tier.write(key, this.#writeFor(other, write)));
      const followed = led.then((status) => (status === "overtaken" ? status : sendOther()), sendOther);
      return this.#written(key, guard, write.entry, lead === sides.near ? [led, followed] : [followed, led]);
    });
    return sides.timed("write", change);
  }

  async remove(key: EntryKey): Promise<DeleteStatus> {
    const statuses = await this.#parts.sides.timed(
      "remove",
      this.#both(key, "remove", async (side) => {
        const status = await side.tier.remove(key);
        side.recovery.forgetKey(key);
        return status;
      }),
    );
    return statuses.includes("deleted") ? "deleted" : "missing";
  }

  /** Where a removal is pending, the key is removed: the older entry must not come back as stale. */
  async markStale(key: EntryKey): Promise<"stale" | "missing"> {
    const statuses = await this.#both(key, "markStale", async ({ tier, recovery }) => {
      if (!recovery.covers(key, key.space.tagPrefixes)) return tier.markStale(key);
      await tier.remove(key);
      recovery.forgetKey(key);
      return "missing";
    });
    return statuses.includes("stale") ? "stale" : "missing";
  }

  /** A write in the form in which this side stores it. */
  #writeFor(side: ComposedSide, { entry, encoded, versions }: EntryWrite): EntryWrite {
    const { sides, copies } = this.#parts;
    const [near, far] = sides.hasOneCodec ? [encoded, encoded] : encoded.parts!;
    return side === sides.near
      ? { entry: copies.limited(entry), encoded: near, versions }
      : { entry, encoded: far, versions };
  }

  /**
   * Follows one write on both sides. Once one side took it, the other one is hidden until it took it too; if it fails
   * there, the key is removed there.
   */
  #tracker(key: EntryKey): <S extends StoreStatus>(side: ComposedSide, sent: Promise<S>) => Promise<S> {
    const { sides } = this.#parts;
    let isTaken = false;
    let failed: ComposedSide | undefined;
    return (side, sent) =>
      sent.then(
        (status) => {
          if (status === "overtaken") return status;
          const other = sides.otherOf(side);
          side.recovery.forgetKey(key);
          if (failed !== undefined) other.recovery.addKey(key);
          else if (!isTaken) other.late.add(key.backend);
          side.late.delete(key.backend);
          isTaken = true;
          return status;
        },
        (error: unknown) => {
          if (isTaken) side.recovery.addKey(key);
          side.late.delete(key.backend);
          failed = side;
          throw error;
        },
      );
  }

  /** How a write ends: for its caller, and for the copy in `near`. */
  #written<S extends StoreStatus>(
    key: EntryKey,
    guard: Guard,
    entry: Entry,
    sent: readonly [near: Promise<S>, far: Promise<S>],
  ): Change<S, Outcomes<S>> {
    const { sides, copies, order } = this.#parts;
    const copy = { key, version: entry.version };
    // In a race the caller may be answered before the other side has answered.
    sent[0].then((status) => status === "stored" && copies.arrived(guard, copy), ignore);
    const both: Promise<Outcomes<S>> = Promise.all([settle(sent[0]), settle(sent[1])]);
    const statusOf = (outcomes: Outcomes<S>): S => {
      const statuses = sides.answered("write", outcomes);
      return statuses.find((status) => status !== "refused") ?? statuses[0]!;
    };
    const first = order === "race" ? firstAccepted(sent, (status) => status !== "refused") : both.then(ignore);
    return {
      answer: first.then(async (status) => status ?? statusOf(await both)),
      settled: both,
      after: ([near, far]) => {
        if (near.status === "fulfilled" && near.value === "stored")
          copies.written(guard, copy, { matchesFar: far.status === "fulfilled" });
      },
    };
  }

  /** Runs a change on both sides at once. Rejects when one of them has not acknowledged it. */
  async #both<T>(key: EntryKey, operation: string, run: (side: ComposedSide) => Promise<T>): Promise<readonly T[]> {
    const { sides } = this.#parts;
    const outcomes = await this.#change(key, () => {
      const both = Promise.allSettled([run(sides.near), run(sides.far)]);
      return { answer: both, settled: both };
    });
    const values = sides.answered(operation, outcomes);
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
    return values;
  }

  /**
   * Runs one change of a key after those before it. An entry that was read before or while it runs is not copied to
   * `near`.
   */
  #change<T, S>(key: EntryKey, begin: (guard: Guard) => Change<T, S>): Promise<T> {
    const { sides, copies, changes } = this.#parts;
    return new Promise((resolve) => {
      sides.inBackground(
        changes.run(key.backend, () => {
          const guard = copies.watch(key.backend);
          const { answer, settled, after } = begin(guard);
          resolve(answer);
          return settled.then((outcomes) => {
            copies.unwatch(guard);
            copies.fence(key.backend);
            after?.(outcomes);
          });
        }),
      );
    });
  }
}

/** One change of a key. */
interface Change<T, S> {
  readonly answer: Promise<T>;
  /** Both sides have settled it. May be later than `answer`. */
  readonly settled: Promise<S>;
  readonly after?: (outcomes: S) => void;
}

const ignore = (): undefined => undefined;

/** The first accepted value; `undefined` when there is none. */
function firstAccepted<T>(works: readonly Promise<T>[], isAccepted: (value: T) => boolean): Promise<T | undefined> {
  const accepted = works.map(async (work) => {
    const value = await work;
    if (!isAccepted(value)) throw NOT_ACCEPTED;
    return value;
  });
  return Promise.any(accepted).catch(ignore);
}

const NOT_ACCEPTED = new Error("not accepted");
