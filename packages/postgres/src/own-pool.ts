import type { PostgresPool } from "./pool.ts";
import type { Settings } from "./settings.ts";

/**
 * Longer than a call waits, which its own deadline bounds: `pg` also counts the time in which this process stands
 * still, and opening a connection takes several turns of its event loop.
 */
const CONNECTING_MS = 5_000;

/** The pool of the user, or one of the URL. `pg` is loaded with the first connection. */
export async function openPool(settings: Settings): Promise<PostgresPool> {
  if (settings.pool !== undefined) return settings.pool;
  const { default: pg } = await import("pg");
  const open = (parameters: { readonly statement_timeout?: number }): PostgresPool => {
    const pool = new pg.Pool({
      connectionString: settings.url,
      // One more listens.
      max: settings.connections + 1,
      connectionTimeoutMillis: CONNECTING_MS,
      keepAlive: true,
      allowExitOnIdle: true,
      application_name: "hotset",
      ...parameters,
    });
    // An idle connection failed: the next statement takes another one.
    pool.on("error", () => undefined);
    return pool;
  };
  const pool = open({ statement_timeout: settings.deadlineMs });
  try {
    (await pool.connect()).release();
    return pool;
  } catch (error) {
    await pool.end();
    // PgBouncer takes no such parameter.
    if (String(error).includes("startup parameter")) return open({});
    throw error;
  }
}
