import type { Pgoutput } from "pg-logical-replication";
import type { FollowedTable } from "./checks.ts";
import { partOf, type AnyRow } from "./rows.ts";
import { messageTargets, rowTargets, type Resolved, type RowChange, type Source } from "./targets.ts";

/** How the log is read. */
export interface LogSource extends Source {
  /** Encoding of the database, as PostgreSQL names it. */
  readonly encoding: string;
  /** The tables as they were when conditions were checked last. */
  readonly followed: { readonly tables: readonly FollowedTable[] };
}

/** The targets of one message. */
export function changesIn(message: Pgoutput.Message, source: LogSource): readonly Resolved[] {
  switch (message.tag) {
    case "insert":
    case "update":
    case "delete": {
      const table = tableOf(message.relation, source);
      return rowTargets(source, table, () => changeOf(message, table!));
    }
    case "truncate":
      return message.relations.flatMap((relation) => tableOf(relation, source)?.truncated ?? []);
    case "message":
      return messageTargets(source, message.prefix, message.content, source.encoding);
    default:
      return [];
  }
}

type RowMessage = Pgoutput.MessageInsert | Pgoutput.MessageUpdate | Pgoutput.MessageDelete;

function changeOf(message: RowMessage, table: FollowedTable): RowChange {
  const { tag: kind, relation } = message;
  const old = kind === "insert" ? undefined : olderOf(message);
  if (kind === "delete") return { kind, row: old ?? partOf({}) };
  const row = whole(message.new);
  return kind === "update" && old === undefined
    ? { kind, row, unchanged: unchangedIn(relation, table) }
    : { kind, row, old };
}

function olderOf({ old, key }: Pgoutput.MessageUpdate | Pgoutput.MessageDelete): AnyRow | undefined {
  if (old !== null) return whole(old);
  return key === null ? undefined : partOf(key);
}

/** A large column that did not change is there without a value. */
const whole = (row: AnyRow): AnyRow => (Object.values(row).includes(undefined) ? partOf(row) : row);

/**
 * Without an older version its identity did not change. A partition, or a table that inherits, may have another identity
 * than the log says of the table that it is part of; one that has whole rows always has an older version.
 */
function unchangedIn(
  { replicaIdentity, keyColumns }: Pgoutput.MessageRelation,
  table: FollowedTable,
): readonly string[] {
  if (replicaIdentity === "full") return [];
  return table.hasParts ? keyColumns.filter((column) => table.identity.includes(column)) : keyColumns;
}

/** A table that was renamed has its number, one that was made again its name. */
function tableOf(
  { relationOid, schema, name }: Pgoutput.MessageRelation,
  { followed: { tables } }: LogSource,
): FollowedTable | undefined {
  return (
    tables.find(({ oids }) => oids.has(relationOid >>> 0)) ?? tables.find((table) => table.name === `${schema}.${name}`)
  );
}
