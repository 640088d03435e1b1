import type { Backend, TagVersions } from "../contracts/backend.ts";
import { MARKED } from "../entry/freshness.ts";
import { VERSION_LIFE_MS } from "./version-entries.ts";

/** How a soft version ends from a mark with an end on, until the next hard one. */
export const ENDING = "!";

/** A tag that was marked with an end, and the soft version under which an entry was stored before. */
export interface EndingMark {
  readonly tag: string;
  readonly soft: string;
}

/**
 * The ends of marks, each an entry: it lists the soft versions whose entries may still be served, as stale ones, and
 * ends with them. So no clocks are compared. Where it is lost, or lists too many, they are gone earlier, never later.
 */
export class MarkDeadlines {
  readonly #backend: Pick<Backend, "read" | "write">;
  readonly #store: TagVersions;
  readonly #deadlineMs: number;

  /** @param deadlineMs how long one call of {@link mark} may take: a write may be executed so late. */
  constructor(backend: Pick<Backend, "read" | "write">, store: TagVersions, deadlineMs: number) {
    this.#backend = backend;
    this.#store = store;
    this.#deadlineMs = deadlineMs;
  }

  /** Marks stale. Where an earlier end has not come yet, the earliest one counts for all that was stored until now. */
  async mark(tags: readonly string[], expireInMs: number): Promise<void> {
    const { versions } = await this.#store.pin(tags);
    await Promise.all(
      tags.map(async (tag, i) => {
        const found = await this.#read(tag);
        const before = found !== undefined && found.endsInMs > this.#deadlineMs ? found : NONE;
        const softs = new Set([versions[i]!.soft, ...before.softs]);
        const data = encoder.encode([...softs].slice(0, MOST_LISTED).join(" "));
        // Later, all versions that it lists are gone.
        const endsInMs = Math.min(expireInMs, before.endsInMs - this.#deadlineMs, VERSION_LIFE_MS);
        await this.#backend.write(entryOf(tag), { data, staleInMs: endsInMs, expiresInMs: endsInMs, meta: "" });
      }),
    );
    await this.#store.renew(tags, "ending");
  }

  /** How long an entry that was stored before these marks is still there; `undefined` for one that is gone. */
  async left(marks: readonly EndingMark[]): Promise<number | undefined> {
    const ends = await Promise.all(
      marks.map(async ({ tag, soft }) => {
        const found = await this.#read(tag);
        return found?.softs.includes(soft) === true ? found.endsInMs : 0;
      }),
    );
    return Math.min(...ends) || undefined;
  }

  async #read(tag: string): Promise<{ readonly softs: readonly string[]; readonly endsInMs: number } | undefined> {
    const near = await this.#backend.read(entryOf(tag));
    const found = near?.behind === undefined ? near : await near.behind();
    if (!found || found.error !== undefined) return undefined;
    return { softs: decoder.decode(found.data).split(" "), endsInMs: found.expiresInMs };
  }
}

/**
 * Marks an entry stale, and cuts its life: by less than it has left, as a read may be that old.
 *
 * @param run runs one call of the backend, within its deadline.
 * @returns `undefined` where that cannot be done: what is there is to be removed.
 */
export async function markKey(
  backend: Backend,
  key: string,
  expireInMs: number,
  run: <T>(call: () => Promise<T>) => Promise<T>,
): Promise<"stale" | "missing" | undefined> {
  const { leases } = backend;
  const isEnding = expireInMs !== Infinity;
  // A sealed life is that of one version.
  const canEnd = leases !== undefined && backend.sealedBy === undefined;
  if (backend.markStale === undefined || (isEnding && !canEnd)) return undefined;
  const status = await run(() => backend.markStale!(key));
  if (status === "missing" || !isEnding) return status;
  const found = await run(() => backend.read(key));
  const { version = "", staleInMs = 0, expiresInMs: leftMs = 0, meta = "" } = found ?? {};
  const expiresInMs = Math.max(1, Math.min(expireInMs, leftMs - (backend.deadlineMs ?? 1_000)));
  const isMarked = version.startsWith(MARKED);
  if (isMarked && (await run(() => leases!.touch(key, version, { staleInMs, expiresInMs, meta })))) return status;
  const current = await run(() => leases!.confirm(key));
  const isNewer = current === version ? staleInMs > 0 : isMarked && !current.startsWith(MARKED);
  return isNewer ? status : undefined;
}

/** Below a bound on what one read may cost; 64 marks of a tag, while no call reads what they marked. */
const MOST_LISTED = 64;
const NONE = { softs: [], endsInMs: Infinity };
const entryOf = (tag: string): string => `{~~~${tag.slice(2)}`;
const encoder = new TextEncoder();
const decoder = new TextDecoder();
