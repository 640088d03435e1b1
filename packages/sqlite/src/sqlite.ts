import { defineBackend, type Backend, type Leases, type StoredEntry, type TagVersions } from "@hotset/core";
import { pollChanges } from "@hotset/core/stores";
import type { SqliteOptions } from "./options.ts";
import { planOf } from "./plan.ts";
import { Store, type Position } from "./store.ts";
import { NO_VERSION, TAG_USE_MS, type Tables } from "./tables.ts";
import { walkFile } from "./walk.ts";

/**
 * A backend in one SQLite file, which the processes of a machine share: entries, leases, tag versions and reports of
 * changes. It needs no server, and values survive a restart. The file is made with the first call, and its folder too.
 *
 * Not for a network file system. Processes that share a file must see the same clock.
 *
 * @throws {ConfigurationError} for an option out of range.
 */
export function sqlite(file: string | URL, options: SqliteOptions = {}): Backend {
  const plan = planOf(file, options);
  const { label, format, compressor, alsoReads } = plan;
  const store = new Store(plan);
  const changes = pollChanges((position: Position | undefined) => store.changesSince(position), { clock: plan.clock });
  const calls: Calls = {
    read(operation, work) {
      changes.wake();
      return store.read(operation, work);
    },
    step(operation, work) {
      changes.wake();
      return store.step(operation, work);
    },
    put(operation, key, entry, work) {
      changes.wake();
      return store.put(operation, key, entry, work);
    },
  };
  return defineBackend({
    label,
    format,
    compressor,
    alsoReads,
    coherence: changes.coherence,
    leases: leasesOf(calls, changes.catchUp, store),
    tagVersions: tagVersionsOf(calls),
    connect: () => calls.step("connect", () => undefined),
    walk: (walk) => walkFile(calls.read, walk),
    read: (key) => calls.read("read", (tables, nowMs) => tables.entry(key, nowMs)),
    batch: {
      read: (keys) => calls.read("read", (tables, nowMs) => keys.map((key) => tables.entry(key, nowMs))),
    },
    write: (key, given) =>
      calls.put("write", key, given, (tables, nowMs, entry) => replaced(tables, key, entry, nowMs)),
    remove: (key) =>
      calls.step("remove", (tables, nowMs) => {
        const was = tables.version(key, nowMs);
        ended(tables, key);
        tables.drop(key);
        return was === "" ? "missing" : "deleted";
      }),
    markStale: (key) =>
      calls.step("markStale", (tables, nowMs) => {
        const version = tables.markStale(key, nowMs);
        ended(tables, key, version);
        return version === undefined ? "missing" : "stale";
      }),
    async close() {
      changes.stop();
      store.close();
    },
  });
}

type Calls = Pick<Store, "read" | "step" | "put">;

/** A change of the entry, and the end of its lease. Reported without an entry too: a load of it may be running. */
function ended(tables: Tables, key: string, version?: string): void {
  tables.free(key);
  tables.logEntry(key, version);
}

function replaced(tables: Tables, key: string, entry: StoredEntry, nowMs: number): void {
  ended(tables, key, entry.version);
  tables.put(key, entry, nowMs);
}

function leasesOf({ read, step, put }: Calls, catchUp: () => Promise<void>, file: Pick<Store, "isLogFull">): Leases {
  return {
    acquire: ({ key, token, leaseMs, seen, isOver }) =>
      step("acquire", (tables, nowMs) => {
        let version = tables.version(key, nowMs);
        if (seen !== "*") {
          if (version !== "" && version !== seen) return { granted: false, entry: tables.entry(key, nowMs)! };
          const held = tables.lease(key, nowMs);
          // A lease that ends much later than a new one would was given before the clock was set back: it has expired.
          if (held !== undefined && held.endsAt - nowMs <= 2 * leaseMs)
            return { granted: false, heldForMs: held.endsAt - nowMs };
        }
        if (isOver === true && version !== NO_VERSION && version !== "") {
          tables.drop(key);
          version = "";
        }
        // A load without a lease stores nothing.
        if (!file.isLogFull) tables.hold(key, token, nowMs + leaseMs);
        return { granted: true, version };
      }),
    renew: (key, token, leaseMs) =>
      step("renew", (tables, nowMs) => {
        if (tables.lease(key, nowMs)?.token !== token) return false;
        tables.hold(key, token, nowMs + leaseMs);
        return true;
      }),
    release: (key, token) =>
      step("release", (tables, nowMs) => {
        if (tables.lease(key, nowMs)?.token === token) freed(tables, key);
      }),
    store: (key, token, seen, given) =>
      put("store", key, given, (tables, nowMs, entry) => {
        if (tables.lease(key, nowMs)?.token !== token) return false;
        if (tables.version(key, nowMs) !== seen) {
          freed(tables, key);
          return false;
        }
        replaced(tables, key, entry, nowMs);
        return true;
      }),
    touch: (key, seen, life) =>
      step("touch", (tables, nowMs) => {
        const isTouched = !file.isLogFull && tables.touch(key, seen, life, nowMs);
        if (isTouched) tables.logTouch(key, seen);
        return isTouched;
      }),
    async confirm(key) {
      // Each write that was acknowledged before is in the log; a later one is in the next part of it.
      await catchUp();
      return read("confirm", (tables, nowMs) => tables.version(key, nowMs));
    },
  };
}

/** The lease of an entry that stays as it is. */
function freed(tables: Tables, key: string): void {
  tables.free(key);
  tables.logLease(key);
}

/** A version is the random id of the file and the number of the last renewal: never issued twice. */
function tagVersionsOf({ read, step }: Calls): TagVersions {
  const pin = (tables: Tables, tag: string, nowMs: number) => {
    const there = tables.tag(tag);
    if (there !== undefined) {
      if (nowMs - there.usedAt >= TAG_USE_MS) tables.useTag(tag, nowMs);
      return there;
    }
    const { id, n } = tables.issuer();
    const version = `${id}.${n}`;
    const issued = { hard: version, soft: version, n };
    tables.setTag(tag, issued, nowMs);
    return issued;
  };
  return {
    read: (tags) =>
      read("read tags", (tables) =>
        tags.map((tag) => {
          const there = tables.tag(tag);
          return there && { hard: there.hard, soft: there.soft };
        }),
      ),
    pin: (tags) =>
      step("pin tags", (tables, nowMs) => {
        const { id, n } = tables.issuer();
        const versions = tags.map((tag) => {
          const { hard, soft } = pin(tables, tag, nowMs);
          return { hard, soft };
        });
        return { at: `${id}.${n}`, versions };
      }),
    unchangedSince: (at, tags) =>
      step("pin tags", (tables, nowMs) => {
        const [id, n] = at.split(".");
        const isSameIssuer = tables.issuer().id === id;
        return tags.map((tag) => {
          const there = pin(tables, tag, nowMs);
          return isSameIssuer && there.n <= Number(n) ? { hard: there.hard, soft: there.soft } : undefined;
        });
      }),
    renew: (tags, mode) =>
      step("renew tags", (tables, nowMs) => {
        tables.issueNext();
        const { id, n } = tables.issuer();
        const version = `${id}.${n}`;
        for (const tag of tags) {
          const before = mode === "hard" ? undefined : tables.tag(tag);
          tables.setTag(tag, { hard: before?.hard ?? version, soft: version, n }, nowMs);
        }
      }),
  };
}
