import { pollChanges, type Changes, type Clock, type PolledChanges } from "@hotset/core";
import type { Database } from "./database.ts";
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
  clock: Clock,
  maxStalenessMs: number,
): PolledChanges {
  return pollChanges<Position>((position) => changesSince(database, statements, position), {
    busyMs: BUSY_MS,
    idleMs: IDLE_MS,
    maxStalenessMs,
    clock,
  });
}

async function changesSince(
  database: Database,
  statements: Statements,
  position: Position | undefined,
): Promise<Changes<Position>> {
  if (position === undefined) await database.call(statements.beginLog, []);
  const { seen = "", at: since = 0, server: before = "" } = position ?? {};
  const columns = await database.call(statements.changes, [seen, since, before]);
  const [now, at, server, isCut, kinds, names] = columns as [string, number, string, boolean, string, string];
  if (isCut && position !== undefined) await database.call(statements.beginLog, []);
  const hex = names.split(",");
  const keysOf = (wanted: string): readonly string[] =>
    [...kinds].flatMap((kind, i) => (wanted.includes(kind) ? [Buffer.from(hex[i]!, "hex").toString()] : []));
  return { position: { seen: now, at, server }, keys: keysOf("es"), leases: keysOf("ls"), tags: keysOf("t"), isCut };
}
