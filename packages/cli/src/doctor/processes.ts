import { inspect, type ProcessRecord } from "@hotset/core/inspect";
import { countsOf, EMPTY, findings, invalidationsPage, type Finding, type Picture } from "@hotset/inspector/internal";
import { redisAddress } from "@hotset/redis-toolkit";
import { createCache } from "hotset";
import { backendOf } from "../caches.ts";
import type { Session } from "../command.ts";
import { SILENT } from "../connect.ts";
import { decoded } from "../keys/readable.ts";
import type { SampledKey } from "../keys/sample.ts";

/** Databases of the server that are looked into. */
const MOST_DATABASES = 16;
/** Caches whose records are read: each takes a connection. */
const MOST = 8;
const EVERY_MS = 10_000;

/**
 * What the records of processes show: the rules of the inspector. Nothing of caches without `heartbeat`.
 *
 * @param keys those of their entries, and of records, name the caches.
 * @param databases of the same server that have keys: a process with the number of another one is missing elsewhere.
 */
export async function processFindings(
  session: Session,
  keys: readonly SampledKey[],
  databases: readonly number[] = [],
): Promise<readonly Finding[]> {
  const owners = new Map<string, boolean>();
  for (const { known } of keys)
    if (known?.part === "entry" || known?.part === "record")
      owners.set(known.owner, owners.get(known.owner) ?? known.isStringEntry === true);
  const own = backendOf(session, "full").database;
  const others = own === undefined ? [] : databases.filter((each) => each !== own).slice(0, MOST_DATABASES);
  const pictures = await Promise.all(
    [...owners]
      .slice(0, MOST)
      .flatMap(([owner, isString]) => [
        pictureOf(session, owner, isString),
        ...others.map((database) => pictureOf(session, owner, isString, database)),
      ]),
  );
  return findings(
    {
      ...EMPTY,
      processes: pictures.flatMap(({ processes }) => processes),
      starts: pictures.flatMap(({ starts }) => starts),
      wide: pictures.flatMap(({ wide }) => wide),
      bursts: pictures.flatMap(({ bursts }) => bursts),
    },
    Date.now(),
  );
}

/** @param owner such as `hotset:shop@2`. */
async function pictureOf(
  session: Session,
  owner: string,
  isString: boolean,
  database?: number,
): Promise<Pick<Picture, "processes" | "starts" | "wide" | "bursts">> {
  const at = owner.indexOf(":");
  const [name = "", version] = owner
    .slice(at + 1)
    .split("@", 2)
    .map(decoded);
  if (name === "") return EMPTY;
  const connection = database === undefined ? undefined : redisAddress(session.settings).inDatabase(database);
  if (database !== undefined && connection === undefined) return EMPTY;
  const backend = backendOf(session, isString ? "string" : "full", owner.slice(0, at), connection);
  const cache = createCache({ name, logger: SILENT, ...(version !== undefined && { version }) })
    .tier(backend)
    .build();
  try {
    await cache.connect();
    const inspection = inspect(cache, { remember: 0 });
    const records = await inspection.processes().finally(() => inspection.close());
    const starts = inspection.processStarts().map((start) => ({ cache: cache.name, ...start }));
    const now = Date.now();
    // Of others to this program, even where it runs in one of them.
    const others = records.map((record) => ({ ...record, isOwn: false }));
    const counts = countsOf([], others, now);
    return {
      processes: records.map(
        ({ id, name: process, startedAt, ageMs, clockAheadMs, everyMs = EVERY_MS, trust, figures, settings }) => ({
          ...{ cache: cache.name, id, name: process, startedAt, clockAheadMs, everyMs, figures, settings },
          silentMs: Math.max(1, ageMs),
          isTrusted: trust !== "none",
        }),
      ),
      starts,
      wide: records.flatMap((record) => clearsOf(cache.name, record, now)),
      bursts: invalidationsPage([{ cache: cache.name, invalidations: [], counts }], now).bursts,
    };
  } catch {
    // What keeps it from reading is a finding of another check.
    return EMPTY;
  } finally {
    await cache.close();
  }
}

/** Of the last ten minutes, by the clock of this program. */
const clearsOf = (cache: string, { name, invalidations, clockAheadMs }: ProcessRecord, now: number): Picture["wide"] =>
  invalidations
    .filter(({ scope, at }) => scope === "namespace" && now - (at - clockAheadMs) <= 600_000)
    .map(({ at, namespace }) => ({
      ...{ cache, kind: "clear", at: at - clockAheadMs },
      text: `${namespace.length === 0 ? "the cache" : namespace.join(" › ")} was cleared, by ${name}`,
    }));
