import type { Clock } from "@hotset/core";
import { pollChanges, type Changes, type PolledChanges } from "@hotset/core/stores";
import type { Database } from "./database.ts";
import type { LongKeys } from "./entries.ts";
import type { Statements } from "./statements.ts";

/** Where a process has read the log up to. */
interface Position {
  /** The transactions that it has seen: they commit in another order than they begin. */
  readonly seen: string;
  /** By the server's clock: the log is kept for a minute. */
  readonly at: number;
  /** When the server was started: after a crash the log is empty. */
  readonly server: string;
}

const BUSY_MS = 50;
const IDLE_MS = 500;

/** Changes as rows of a log, where LISTEN does not work. The log is kept once a process asks for it. */
export function pollingOf(
  database: Database,
  statements: Statements,
  keys: LongKeys,
  clock: Clock,
  maxStalenessMs: number,
): PolledChanges {
  return pollChanges<Position>((position) => changesSince(database, statements, keys, position), {
    busyMs: BUSY_MS,
    idleMs: IDLE_MS,
    maxStalenessMs,
    clock,
  });
}

async function changesSince(
  database: Database,
  statements: Statements,
  keys: LongKeys,
  position: Position | undefined,
): Promise<Changes<Position>> {
  if (position === undefined) await database.call(statements.beginLog, []);
  const { seen = "", at: since = 0, server: before = "" } = position ?? {};
  const columns = await database.call(statements.changes, [seen, since, before]);
  const [now, at, server, isCut, kinds, names, versions] = columns as [
    string,
    number,
    string,
    boolean,
    string,
    string,
    string,
  ];
  if (isCut && position !== undefined) await database.call(statements.beginLog, []);
  const hex = names.split(",");
  const keysOf = (wanted: string): readonly string[] =>
    [...kinds].flatMap((kind, i) => (wanted.includes(kind) ? [Buffer.from(hex[i]!, "hex").toString()] : []));
  // Unordered: which of several changes is the last is unknown.
  const versionsOf = new Map<string, string>();
  versions.split(",").forEach((reported, i) => {
    if (kinds[i] === undefined || kinds[i] === "l") return;
    const name = Buffer.from(hex[i]!, "hex").toString();
    versionsOf.set(name, versionsOf.has(name) ? "" : (keys.versionIn(reported) ?? ""));
  });
  return {
    position: { seen: now, at, server },
    keys: keysOf("es"),
    leases: keysOf("ls"),
    tags: keysOf("t"),
    versions: versionsOf,
    isCut,
  };
}
