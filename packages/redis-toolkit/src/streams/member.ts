import { BlockingReads } from "./blocking-reads.ts";
import type { EntryId } from "./entry-id.ts";
import { entriesOfOne, entryOf, readId, type Entry } from "./entry.ts";
import type { ConsumerGroup } from "./group.ts";
import { isLostGroup } from "./info.ts";
import { BURY_FAILED, COUNT, FORGET, READ, RELEASE, RENEW, TAKE } from "./scripts.ts";
import type { StreamPlace } from "./stream-place.ts";

/** An entry that is to be handled. */
export interface Delivery<T> {
  /** The entry, as it was appended. */
  readonly entry: Entry<T>;
  /** How often it was delivered to a handler, this time included. */
  readonly deliveries: number;
  /** `false`: Redis does not count this delivery until its handler begins. */
  readonly isCounted?: false | undefined;
}

/** Entries that a step has read. */
export interface Read<T> {
  readonly deliveries: readonly Delivery<T>[];
  /** Whether there may be more. */
  readonly isMore: boolean;
  /** Whether this consumer got others too, which did not fit into the reply. */
  readonly hasUnseen: boolean;
}

/** Pending entries that a step has taken, buried or acknowledged. */
export interface Taken<T> {
  /** After which id to look next. */
  readonly next: EntryId;
  /** Whether there may be more after it. */
  readonly isMore: boolean;
  readonly deliveries: readonly Delivery<T>[];
  readonly buried: number;
  readonly deleted: number;
  /** Why others that should have been buried are still pending. */
  readonly problems: readonly string[];
}

export interface MemberSettings {
  readonly name: string;
  /** Most bytes of entries in one reply, unless there is one entry. */
  readonly maxReplyBytes: number;
  readonly minIdleMs: number;
  readonly maxDeliveries: number;
  /** 0: no limit. */
  readonly maxDead: number;
}

/** One consumer of a group, as Redis knows it. Each method is one step there. */
export class GroupMember<T> {
  readonly #place: StreamPlace;
  readonly #group: ConsumerGroup<T>;
  readonly #settings: MemberSettings;
  readonly #reads: BlockingReads;

  constructor(place: StreamPlace, group: ConsumerGroup<T>, settings: MemberSettings) {
    this.#place = place;
    this.#group = group;
    this.#settings = settings;
    this.#reads = new BlockingReads(place);
  }

  /**
   * Forgets consumers that hold nothing and ended long ago, and creates the group if it is not there. In this order: to
   * create a group needs memory even where it exists.
   */
  async join(start: "0" | "$"): Promise<"created" | "exists"> {
    await this.#place.expectNoEviction();
    try {
      await this.#place.script("consumer", FORGET, [...this.#whoami, FORGET_AFTER_MS], Number);
      return "exists";
    } catch (error) {
      if (!isLostGroup(error)) throw error;
    }
    return this.#group.ensure(start);
  }

  /**
   * Takes pending entries, each for a free slot. Those of `lost` may be counted as delivered, others are not.
   *
   * @param which `idle`: of the whole group, that no consumer has touched for `minIdle`. Of this consumer: `own`, from
   *   before this process; `lost`, of a read whose reply got lost; `retaken`, of an `idle` whose reply got lost
   */
  take(which: "own" | "lost" | "retaken" | "idle", after: EntryId, count: number): Promise<Taken<T>> {
    const { minIdleMs, maxDeliveries, maxDead, maxReplyBytes } = this.#settings;
    const args = [...this.#whoami, which, after, count, minIdleMs, maxDeliveries, maxDead, maxReplyBytes];
    return this.#place.scriptWithDead("consumer", TAKE, args, readTaken<T>);
  }

  /** Entries that no consumer has got yet, without waiting for one. None is counted as delivered. */
  async readMany(count: number): Promise<Read<T>> {
    const args = [...this.#whoami, count, this.#settings.maxReplyBytes];
    return this.#place.script("consumer", READ, args, (reply) => {
      const [entries, isMore, hasUnseen] = reply as readonly [
        readonly (readonly [id: unknown, flat: readonly unknown[]])[],
        number,
        number,
      ];
      const deliveries = entries.map(([id, flat]) => deliveryOf<T>(id, flat, 1, 0));
      return { deliveries, isMore: isMore === 1, hasUnseen: hasUnseen === 1 };
    });
  }

  /** Sets how often each was delivered. @returns those that this consumer does not hold any more */
  count(deliveries: ReadonlyMap<EntryId, number>): Promise<readonly EntryId[]> {
    return this.#place.script("consumer", COUNT, [...this.#whoami, ...[...deliveries].flat()], readIds);
  }

  /** One entry that no consumer has got yet. @param blockMs how long to wait for it; 0: not at all */
  readOne(blockMs: number, signal: AbortSignal): Promise<readonly Delivery<T>[]> {
    const { name } = this.#settings;
    const block = blockMs === 0 ? [] : ["BLOCK", String(blockMs)];
    const reader = ["GROUP", this.#group.name, name, "COUNT", "1", ...block];
    return this.#reads.read((key) => ["XREADGROUP", ...reader, "STREAMS", key, ">"], {
      blockMs,
      signal,
      decode: (reply) => entriesOfOne<T>(reply).map((entry) => ({ entry, deliveries: 1 })),
    });
  }

  ack(ids: readonly EntryId[]): Promise<unknown> {
    return this.#group.ack(...ids);
  }

  /** Moves an entry to the dead letters, if this consumer still holds it. */
  bury(id: EntryId, error: string): Promise<Pick<Taken<T>, "buried" | "deleted" | "problems">> {
    return this.#place.scriptWithDead(
      "consumer",
      BURY_FAILED,
      [...this.#whoami, id, error, this.#settings.maxDead],
      (reply) => {
        const [buried, deleted, problems] = reply as readonly [readonly unknown[], number, readonly unknown[]];
        return { buried: buried.length, deleted, problems: problems.map(String) };
      },
    );
  }

  /** Entries that are being handled are not idle. @returns those that this consumer does not hold any more */
  renew(ids: readonly EntryId[]): Promise<readonly EntryId[]> {
    return this.#place.script("consumer", RENEW, [...this.#whoami, ...ids], readIds);
  }

  /**
   * No handler will begin for entries of a read whose reply got lost.
   *
   * @param after the last id that was read
   * @param known entries of this consumer that were taken, not read
   */
  async release(after: EntryId, known: readonly EntryId[]): Promise<void> {
    await this.#place.script("consumer", RELEASE, [...this.#whoami, after, ...known], () => undefined);
  }

  /** Ends the consumer in Redis, unless it holds entries: they would be lost with it. */
  leave(): Promise<number> {
    return this.#group.deleteConsumer(this.#settings.name, { ifPending: "keep" });
  }

  close(): Promise<void> {
    return this.#reads.close();
  }

  get #whoami(): readonly string[] {
    return [this.#group.name, this.#settings.name];
  }
}

const FORGET_AFTER_MS = 86_400_000;

const readIds = (reply: unknown): readonly EntryId[] => (reply as readonly unknown[]).map(readId);

function deliveryOf<T>(id: unknown, flat: readonly unknown[], deliveries: number, isCounted: number): Delivery<T> {
  const delivery = { entry: entryOf<T>(readId(id), flat), deliveries };
  return isCounted === 1 ? delivery : { ...delivery, isCounted: false };
}

function readTaken<T>(reply: unknown): Taken<T> {
  const [next, isMore, taken, buried, deleted, problems] = reply as readonly [
    unknown,
    number,
    readonly (readonly [id: unknown, flat: readonly unknown[], deliveries: number, isCounted: number])[],
    readonly unknown[],
    number,
    readonly unknown[],
  ];
  return {
    next: readId(next),
    isMore: isMore === 1,
    deliveries: taken.map((parts) => deliveryOf<T>(...parts)),
    buried: buried.length,
    deleted,
    problems: problems.map(String),
  };
}
