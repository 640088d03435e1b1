import { ZERO, type EntryId } from "./entry-id.ts";
import { readEntry, readId, type Entry } from "./entry.ts";

/** A stream, as the server describes it. */
export interface StreamInfo {
  /** How many entries there are. */
  readonly length: number;
  /** Id of the last entry that was ever appended. */
  readonly lastId: EntryId;
  /** `undefined` for an empty stream. */
  readonly firstEntry: Entry<Readonly<Record<string, string>>> | undefined;
  /** `undefined` for an empty stream. */
  readonly lastEntry: Entry<Readonly<Record<string, string>>> | undefined;
  /** How many groups it has. */
  readonly groups: number;
  /** How many were ever appended. `undefined` before Redis 7. */
  readonly entriesAdded: number | undefined;
}

/** A group, as the server describes it. */
export interface GroupInfo {
  /** Within its stream. */
  readonly name: string;
  /** How many it has. */
  readonly consumers: number;
  /** Entries that were delivered and not acknowledged. */
  readonly pending: number;
  /** Id of the last entry that any of its consumers was given; the next ones follow it. */
  readonly lastDeliveredId: EntryId;
  /** `undefined` before Redis 7, and where the server does not know. */
  readonly entriesRead: number | undefined;
  /** Entries that are still to be delivered. `undefined` before Redis 7, and where the server does not know. */
  readonly lag: number | undefined;
}

/** A consumer, as the server describes it. */
export interface ConsumerInfo {
  /** Within its group. */
  readonly name: string;
  /** Entries that it holds. */
  readonly pending: number;
  /** Since its last attempt to read or to claim, in milliseconds. */
  readonly idleMs: number;
}

/** An entry that was delivered, and not acknowledged. */
export interface PendingEntry {
  /** In the stream. */
  readonly id: EntryId;
  /** Which holds it. */
  readonly consumer: string;
  /** Since its last delivery, in milliseconds. */
  readonly idleMs: number;
  /** How often it was delivered. */
  readonly deliveries: number;
}

/** How many entries of a group are pending. */
export interface PendingSummary {
  /** Entries of all consumers. */
  readonly count: number;
  /** The smallest id; `undefined` without any. */
  readonly first: EntryId | undefined;
  /** The largest id; `undefined` without any. */
  readonly last: EntryId | undefined;
  /** How many each consumer holds, without those that hold none. */
  readonly consumers: ReadonlyMap<string, number>;
}

type Fields = ReadonlyMap<string, unknown>;

export const readStreamInfo = (fields: Fields): StreamInfo => ({
  length: Number(fields.get("length")),
  lastId: readId(fields.get("last-generated-id")),
  firstEntry: readEntry(fields.get("first-entry") ?? null),
  lastEntry: readEntry(fields.get("last-entry") ?? null),
  groups: Number(fields.get("groups")),
  entriesAdded: numberOf(fields.get("entries-added")),
});

export const readGroupInfo = (fields: Fields): GroupInfo => ({
  name: String(fields.get("name")),
  consumers: Number(fields.get("consumers")),
  pending: Number(fields.get("pending")),
  lastDeliveredId: readId(fields.get("last-delivered-id") ?? ZERO),
  entriesRead: numberOf(fields.get("entries-read")),
  lag: numberOf(fields.get("lag")),
});

export const readConsumerInfo = (fields: Fields): ConsumerInfo => ({
  name: String(fields.get("name")),
  pending: Number(fields.get("pending")),
  idleMs: Number(fields.get("idle")),
});

export function readPendingEntry(reply: unknown): PendingEntry {
  const [id, consumer, idleMs, deliveries] = reply as readonly unknown[];
  return { id: readId(id), consumer: String(consumer), idleMs: Number(idleMs), deliveries: Number(deliveries) };
}

export function readPendingSummary(reply: unknown): PendingSummary {
  const [count, first, last, consumers] = reply as readonly unknown[];
  const counts = (consumers ?? []) as readonly (readonly [unknown, unknown])[];
  return {
    count: Number(count),
    first: first === null ? undefined : readId(first),
    last: last === null ? undefined : readId(last),
    consumers: new Map(counts.map(([name, pending]) => [String(name), Number(pending)])),
  };
}

const numberOf = (reply: unknown): number | undefined =>
  reply === null || reply === undefined ? undefined : Number(reply);

/** `undefined` where Redis replies that the key does not exist. */
export async function unlessMissing<R>(asked: Promise<R>): Promise<R | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof Error && error.message.includes("no such key")) return undefined;
    throw error;
  }
}

/** Whether Redis has no such stream, or no such group of it: after a loss of data, say. */
export const isLostGroup = (error: unknown): boolean => error instanceof Error && /\bNOGROUP\b/.test(error.message);
