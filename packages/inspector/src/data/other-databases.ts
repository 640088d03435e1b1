import type { Module } from "@hotset/redis-toolkit/module";

type Connection = Pick<Module["connection"], "each" | "isCluster">;

/** Processes of a cache whose records are in another database of the same Redis. */
export interface Elsewhere {
  /** Such as `hotset:shop`. */
  readonly owner: string;
  readonly own: number;
  readonly database: number;
  readonly processes: number;
}

const MOST_DATABASES = 16;
const MOST_OWNERS = 16;
const PLACES = 64;
const DEADLINE_MS = 1_000;
/** Ends in the database of its caller. */
const COUNT = "redis.call('SELECT', ARGV[1]) return redis.call('EXISTS', unpack(KEYS))";

/**
 * Looks for records in other databases: a process whose address has another number is known to none of the others. What
 * a user may not ask is left out. Never rejects.
 *
 * @param owners of the records in the database of this connection.
 */
export async function lookElsewhere(connection: Connection, owners: readonly string[]): Promise<readonly Elsewhere[]> {
  if (connection.isCluster || owners.length === 0) return [];
  const asked = connection.each(async (primary): Promise<readonly Elsewhere[]> => {
    const ask = (args: readonly string[], isReadOnly: boolean): Promise<unknown> =>
      primary.call(args, { isReadOnly, deadlineMs: DEADLINE_MS });
    const [client, info] = await Promise.all([ask(["CLIENT", "INFO"], true), ask(["INFO", "keyspace"], true)]);
    const own = Number(/(?:^| )db=(\d+)/.exec(String(client))?.[1]);
    const databases = Array.from(String(info).matchAll(/^db(\d+):/gm), ([, digits]) => Number(digits));
    const found: Elsewhere[] = [];
    for (const database of databases.filter((each) => each !== own).slice(0, MOST_DATABASES))
      for (const owner of owners.slice(0, MOST_OWNERS)) {
        const keys = Array.from({ length: PLACES }, (_, at) => `${owner}:~processes::${at}`);
        const processes = Number(await ask(["EVAL", COUNT, String(PLACES), ...keys, String(database)], true));
        if (processes > 0) found.push({ owner, own, database, processes });
      }
    return found;
  });
  return asked.then(
    (all) => all.flat(),
    () => [],
  );
}
