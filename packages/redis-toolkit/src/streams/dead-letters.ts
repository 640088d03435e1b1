import { checkOptions } from "../module/module.ts";
import { entryIds, isEntryId, rangeEnd, type EntryId, type RangeEnd } from "./entry-id.ts";
import { entryOf, readEntries, type Entry } from "./entry.ts";
import { countOf, MOST_AT_ONCE } from "./limits.ts";
import type { StreamPlace } from "./stream-place.ts";

/** An entry that a consumer gave up. `pairs` and `fields` are those of the entry. */
export interface DeadLetter<T> extends Pick<Entry<T>, "fields" | "pairs"> {
  /** In the stream of dead letters: for `delete`. */
  readonly id: EntryId;
  /** In the stream that it came from. */
  readonly entryId: EntryId;
  /** Whose consumer gave it up. */
  readonly group: string;
  /** `handler`: the handler failed at the last delivery. `deliveries`: the last delivery ended without an answer. */
  readonly reason: "handler" | "deliveries";
  /** The message of the handler's error, up to 1,000 characters; empty for `deliveries`. */
  readonly error: string;
  /** How often it was delivered. */
  readonly deliveries: number;
}

/**
 * The entries of one stream that were given up, in a stream next to it. Calls reject with `CommandError` where Redis
 * refuses, `BackendUnavailableError` where it is not reached, and `InvalidArgumentError` for ids and counts out of
 * range.
 */
export class DeadLetters<T> {
  /** The key, as the view has it. */
  readonly key: string;
  readonly #place: StreamPlace;

  constructor(place: StreamPlace) {
    this.key = place.deadKey;
    this.#place = place;
  }

  /**
   * Dead letters, the oldest first, without entries that no consumer has put there.
   *
   * @param options `count`: 1 to 10,000, which is the default
   */
  async range(
    options: {
      readonly from?: RangeEnd | undefined;
      readonly to?: RangeEnd | undefined;
      readonly count?: number | undefined;
    } = {},
  ): Promise<readonly DeadLetter<T>[]> {
    checkOptions("dead.range", options, ["from", "to", "count"]);
    const { from = "-", to = "+", count = MOST_AT_ONCE } = options;
    const ends = [rangeEnd("dead.range: from", from), rangeEnd("dead.range: to", to)];
    const limit = String(countOf("dead.range: count", count));
    return this.#place.sendDead((key) => ["XRANGE", key, ...ends, "COUNT", limit], {
      isReadOnly: true,
      decode: (reply) =>
        readEntries<Record<string, string | Buffer>>(reply)
          .map((entry) => readLetter<T>(entry))
          .filter((letter) => letter !== undefined),
    });
  }

  /** How many there are. */
  async len(): Promise<number> {
    return this.#place.sendDead((key) => ["XLEN", key], { isReadOnly: true, decode: Number });
  }

  /** @param ids `id` of dead letters. @returns how many there were */
  async delete(...ids: readonly EntryId[]): Promise<number> {
    if (ids.length === 0) return 0;
    const checked = entryIds("dead.delete", ids);
    return this.#place.sendDead((key) => ["XDEL", key, ...checked], { decode: Number });
  }
}

/** The script writes these before the fields of the entry. */
const OWN_FIELDS = ["id", "group", "reason", "error", "deliveries"];

/** `undefined` for an entry that no consumer has written. */
function readLetter<T>({ id, pairs }: Entry<Record<string, string | Buffer>>): DeadLetter<T> | undefined {
  const [from, group, reason, error, deliveries] = OWN_FIELDS.map((name, i) =>
    pairs[i]?.[0] === name ? String(pairs[i][1]) : "",
  );
  if (!isEntryId(from) || (reason !== "handler" && reason !== "deliveries")) return undefined;
  const { fields, pairs: own } = entryOf<T>(from, pairs.slice(OWN_FIELDS.length).flat());
  return {
    id,
    entryId: from,
    group: group!,
    reason,
    error: error!,
    deliveries: Number(deliveries),
    fields,
    pairs: own,
  };
}
