import { BackendUnavailableError, InvalidArgumentError, systemClock, type Duration } from "@hotset/core";
import { optionsOf, within } from "@hotset/core/internal";
import { Outbox, type Followed } from "./outbox.ts";
import { isPart, partOf, type AnyRow } from "./rows.ts";
import { checkFollowed, CONSUME_OPTIONS } from "./settings.ts";
import { checkTables, messageTargets, resolve, rowTargets } from "./targets.ts";
import type { CheckedRules, Resolved, RowChange, Source, Tables, Targets } from "./targets.ts";
import { warnerOf, type FollowLogger } from "./warnings.ts";

/** Options of {@link consume}. */
export interface ConsumeOptions<R extends object = Readonly<Record<string, AnyRow>>> {
  /** The rules, as for `follow`. A table is found by `schema.table`, `database.table`, or its name alone. */
  readonly tables: Tables<R>;
  /** After this a call rejects, and its event must come again. 10 ms to an hour. @default '30s' */
  readonly deadline?: Duration | undefined;
  /** Each invalidation is made again after so long, for loaders that read a replica. @default 0: not again */
  readonly settleAfter?: Duration | undefined;
  /** Prefix of messages in the log, as Debezium passes them on; `false` for none. @default 'hotset' */
  readonly messages?: string | false | undefined;
  /** Gets each warning. @default the first warning of each kind in a minute is one of Node's */
  readonly logger?: FollowLogger | undefined;
}

/** A change of any other consumer. */
export type ConsumedChange = (RowChange & { readonly table: string }) | { readonly targets: Targets };

/** An event of Debezium in JSON, with or without its schema, as text, bytes or read; or a {@link ConsumedChange}. */
export type ConsumedEvent = string | Uint8Array | ConsumedChange | object | null | undefined;

/**
 * For a pipeline that you have: Debezium over Kafka, NATS or SQS, or any other consumer.
 *
 *     const invalidate = consume(cache, { tables: { products: ({ id }) => ({ tags: [`product:${id}`] }) } });
 *     await invalidate(message.value, message.key); // now its offset may be committed
 *
 * @returns takes an event, and the key of its record where rows are known by it alone (MongoDB). Resolves once the
 *   event may be acknowledged; calls at the same time share their invalidations.
 * @throws {InvalidArgumentError} the promise, for anything else.
 * @throws {BackendUnavailableError} the promise, if the cache did not acknowledge it within `deadline`.
 */
export function consume<R extends object = Readonly<Record<string, AnyRow>>>(
  cache: Followed,
  options: ConsumeOptions<R>,
): (event: ConsumedEvent, key?: ConsumedEvent) => Promise<void> {
  checkFollowed("consume", cache);
  const read = optionsOf("consume", options ?? null, CONSUME_OPTIONS);
  const { deadline: deadlineMs, messages, settleAfter: settleMs } = read;
  const source = { tables: checkTables("consume", read.tables), messages, warn: warnerOf(read.logger) };
  const outbox = new Outbox({ cache, warn: source.warn, settleMs });
  return async (event, key) => {
    for (const targets of targetsIn(parsed(event), key, source)) outbox.add(targets);
    await within(systemClock, deadlineMs, outbox.flush(), () => {
      throw new BackendUnavailableError(`consume: not acknowledged within ${deadlineMs} ms; deliver the event again`);
    });
  };
}

/** Fields of events of Debezium. @see https://debezium.io/documentation/reference/stable/connectors/postgresql.html */
interface Envelope {
  readonly op?: string;
  readonly before?: unknown;
  readonly after?: unknown;
  readonly source?: Readonly<Partial<Record<"db" | "schema" | "table" | "collection", string>>>;
  readonly message?: { readonly prefix?: string; readonly content?: string };
}

const KINDS: Readonly<Record<string, RowChange["kind"]>> = { c: "insert", r: "insert", u: "update", d: "delete" };

function targetsIn(event: unknown, key: ConsumedEvent, source: Source): readonly Resolved[] {
  // After a delete Kafka gets a record without a value.
  if (event === null || event === undefined) return [];
  if (typeof event !== "object") throw new InvalidArgumentError("consume: event must be an object, or JSON of one");
  if ("targets" in event) return [resolve(event.targets as Targets)];
  const rulesOf = (...names: readonly string[]): CheckedRules | undefined =>
    names.flatMap((name) => source.tables.find((rules) => rules.name === name) ?? [])[0];
  if ("table" in event && "kind" in event)
    return rowTargets(source, rulesOf(String(event.table)), () => event as unknown as RowChange);
  const content = "payload" in event ? (event.payload as object | null) : event;
  if (content === null) return [];
  const { op = "", before, after, source: from, message } = content as Envelope;
  const { db, schema, collection = "", table = collection } = from ?? {};
  const rules = rulesOf(`${schema}.${table}`, `${db}.${table}`, table);
  const kind = KINDS[op];
  if (kind !== undefined)
    return rowTargets(source, rules, () => changeOf(kind, rowOf(before), rowOf(after), keyOf(key)));
  if (op === "t") return rules === undefined ? [] : [rules.truncated];
  if (op === "m") return messageTargets(source, message?.prefix, Buffer.from(String(message?.content ?? ""), "base64"));
  // Signs of life, and the ends of transactions.
  if ("ts_ms" in content && (Object.keys(content).length === 1 || "status" in content)) return [];
  throw new InvalidArgumentError("consume: event must have the fields op and source of Debezium, or table and kind");
}

function changeOf(
  kind: RowChange["kind"],
  before: AnyRow | undefined,
  after: AnyRow | undefined,
  key: AnyRow | undefined,
): RowChange {
  const part = key && partOf(key);
  if (kind === "delete") return { kind, row: before ?? part ?? {} };
  const row = after ?? before ?? part ?? {};
  // Without an older version the columns of the key did not change: a change of them is a deletion and a creation.
  return kind === "update" && before === undefined && key !== undefined
    ? { kind, row, unchanged: Object.keys(key) }
    : { kind, row, old: before };
}

/** Debezium writes this for a TOASTed column that did not change. */
const UNAVAILABLE = "__debezium_unavailable_value";

/** MongoDB has its documents as text. */
function rowOf(given: unknown): AnyRow | undefined {
  const row = (typeof given === "string" ? parsedText(given) : given) as AnyRow | null | undefined;
  if (row === null || row === undefined) return undefined;
  const known = Object.entries(row).filter(([, value]) => value !== UNAVAILABLE && !isRounded(value));
  const found = Object.fromEntries(known);
  return known.length < Object.keys(row).length || isPart(row) ? partOf(found) : found;
}

/** MongoDB has `{ id: '{"$oid":"…"}' }`, others their columns. */
function keyOf(given: ConsumedEvent): AnyRow | undefined {
  const key = parsed(given) as { readonly payload?: unknown } | null | undefined;
  const row = rowOf(key?.payload ?? key);
  const { id } = row ?? {};
  return typeof id === "string" && /^[{"\d]/.test(id) ? { ...row, _id: parsedText(id) } : row;
}

function parsed(given: ConsumedEvent): unknown {
  if (typeof given !== "string" && !(given instanceof Uint8Array)) return given;
  try {
    return parsedText(Buffer.from(given).toString());
  } catch (error) {
    throw new InvalidArgumentError("consume: event must be JSON", { cause: error });
  }
}

/** A number that JavaScript has rounded, and that is of another row. The text of an event still has it. */
const isRounded = (value: unknown): boolean =>
  typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value);

/** What V8 hands to a reviver; the library of TypeScript does not have it yet. */
type Reviver = (this: unknown, name: string, value: unknown, context: { readonly source?: string }) => unknown;

const EXACT: Reviver = (_name, value, { source }) =>
  isRounded(value) && source !== undefined && /^-?\d+$/.test(source) ? source : value;

/** Whole numbers beyond 2^53 are texts, as `pg` has them. */
function parsedText(text: string): unknown {
  return /\d{16}/.test(text) ? JSON.parse(text, EXACT as (name: string, value: unknown) => unknown) : JSON.parse(text);
}
