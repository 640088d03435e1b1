import { arrayOf, unpacked } from "./bytes.ts";
import type { PostgresQuery } from "./pool.ts";
import { msOf, NOW, shown } from "./schema.ts";

/** A function of the schema, called for one key or many in one statement. */
export interface Statement {
  /** Named in errors. */
  readonly operation: string;
  /** Types of the parameters. */
  readonly types: readonly string[];
  /** The name of the prepared statement. */
  readonly name: string;
  /** Whether the statement changes anything. */
  readonly isChange: boolean;
  /**
   * Calls that are one statement: 1 if it takes a list. Each change locks its key, and a server has some thousand
   * locks.
   */
  readonly mostCalls: number;
  readonly single: string;
  readonly many: string;
}

/** All statements of a backend. */
export interface Statements {
  readonly read: Statement;
  readonly version: Statement;
  readonly write: Statement;
  readonly remove: Statement;
  readonly markStale: Statement;
  readonly touch: Statement;
  readonly acquire: Statement;
  readonly renew: Statement;
  readonly release: Statement;
  readonly store: Statement;
  readonly tags: Statement;
  readonly pin: Statement;
  readonly unchangedSince: Statement;
  readonly renewTags: Statement;
  readonly reclaim: Statement;
  readonly beginLog: Statement;
  readonly changes: Statement;
}

export function statementsOf(schema: string): Statements {
  const call = (
    operation: string,
    name: string,
    types: string,
    { kind, columns: answer = "r.*" }: { readonly kind?: "question"; readonly columns?: string } = {},
  ): Statement => {
    const all = types === "" ? [] : types.split(" ");
    const parameters = all.map((type, i) => `$${i + 1}::${type}`);
    const columns = all.map((_, i) => `c${i}`);
    return {
      operation,
      types: all,
      name: `${schema}.${name}`,
      isChange: kind !== "question",
      mostCalls: all.length === 0 || types.includes("[]") ? 1 : 100,
      single: `select ${answer} from ${schema}.${name}(${parameters.join(", ")}) as r`,
      // Left to right, so the function runs once per row, in row order.
      many:
        `select r.* from unnest(${all.map((type, i) => `(select $${i + 1}::${type}[])`).join(", ")}) as t(${columns.join(", ")})` +
        ` cross join lateral ${schema}.${name}(${columns.join(", ")}) as r`,
    };
  };
  return {
    read: readStatement(schema, "read", READ, 100),
    version: readStatement(schema, "confirm", VERSION, Infinity),
    write: call("write", "write", "bytea bytea bytea float8 float8 text"),
    remove: call("remove", "remove", "bytea"),
    markStale: call("markStale", "mark_stale", "bytea text"),
    touch: call("touch", "touch", "bytea text float8 float8 bytea text"),
    acquire: call("acquire", "acquire", "bytea text float8 text bool"),
    renew: call("renew", "renew", "bytea text float8"),
    release: call("release", "release", "bytea text"),
    store: call("store", "store", "bytea text text bytea bytea float8 float8 text"),
    tags: call("read tags", "tag_versions", "bytea[]", { kind: "question", columns: LIST }),
    pin: call("pin tags", "pin", "bytea[]", { columns: LIST }),
    unchangedSince: call("pin tags", "unchanged_since", "text bytea[]", { columns: LIST }),
    renewTags: call("renew tags", "renew_tags", "bytea[] bool"),
    reclaim: call("reclaim", "reclaim", "int", { kind: "question" }),
    beginLog: call("begin the log", "begin_log", ""),
    changes: call("read changes", "changes_since", "text float8 text", {
      kind: "question",
      columns:
        "r.present, r.at, r.server, r.is_cut, array_to_string(r.kinds, ''), array_to_string(r.names, ','), " +
        "array_to_string(r.versions, ',')",
    }),
  };
}

/** Versions have no comma, and are not empty. */
const LIST = "array_to_string(r, ',', '')";

const READ =
  `${shown("e.data")} as data, ${shown("e.meta")} as meta, e.version, ` +
  `${msOf(`e.stale_at - ${NOW}`)} as stale, ${msOf(`e.expires_at - ${NOW}`)} as expires`;
const VERSION = `case when e.expires_at - ${NOW} >= 1 then e.version end`;

/** The keys are hashed here, so that the statement is a plain look-up in the index. */
function readStatement(schema: string, operation: string, columns: string, mostCalls: number): Statement {
  return {
    operation,
    types: ["bytea"],
    name: `${schema}.${operation}`,
    isChange: false,
    mostCalls,
    single: `select ${columns} from ${schema}.entries e where e.key = $1`,
    many:
      `select ${columns} from unnest((select $1::bytea[])) with ordinality as t(key, o)` +
      ` left join ${schema}.entries e on e.key = t.key order by t.o`,
  };
}

/** One statement for these rows of parameters. */
export function queryOf(
  statement: Statement,
  rows: readonly (readonly unknown[])[],
  isPrepared: boolean,
): PostgresQuery {
  const isOne = rows.length === 1;
  const listed = (value: unknown, i: number): unknown =>
    Array.isArray(value) ? arrayOf(statement.types[i]!.replace("[]", ""), value) : value;
  return {
    ...(isPrepared && { name: isOne ? statement.name : `${statement.name}[]` }),
    text: isOne ? statement.single : statement.many,
    values: isOne
      ? rows[0]!.map(listed)
      : statement.types.map((type, i) =>
          arrayOf(
            type,
            rows.map((row) => row[i]),
          ),
        ),
    ...ANSWER,
  };
}

const whole = (text: string): number => {
  const number = Number(text);
  return number === Number.MAX_SAFE_INTEGER ? Infinity : number;
};

/** Types whose text depends on no setting of the session: no bytes, no floating point, no instants. */
const OIDS: Readonly<Record<number, (text: string) => unknown>> = {
  16: (text) => text === "t",
  20: whole,
  23: whole,
  1043: unpacked,
};

/** Rows as lists; and types as they are, even if the program has set other parsers for its own statements. */
export const ANSWER: Pick<PostgresQuery, "rowMode" | "types"> = {
  rowMode: "array",
  types: { getTypeParser: (oid) => OIDS[oid] ?? String },
};
