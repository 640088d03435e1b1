import type { Backend, Coherence, KeyWalk, Leases, StoredAnswer, TagVersions } from "@hotset/core";
import { NearCopies } from "./near-copies.ts";
import type { ComposeOptions } from "./options.ts";
import { planOf } from "./plan.ts";
import { settingsOf } from "./settings.ts";
import { Side, type Found } from "./side.ts";

/**
 * Two backends as one: `far` holds the entries and decides everything, and `near` holds copies of them for at most
 * `nearTtl`. Either may be a composition itself.
 *
 * A fresh copy in `near` is the answer; else `far` is asked. A change by another process may be hidden by a copy until
 * that ends. A change by this process is not: it goes to `far`, and then to `near`. A failure of `near` fails no call.
 * While `far` cannot be reached, copies in `near` are served unless this process invalidated them.
 *
 * `near` keeps the bytes of `far`: the format and the compressor of `far` count, and its leases, tag versions
 * and reports of changes. Both sides belong to the composition, and are closed with it.
 *
 * @throws {ConfigurationError} for an option out of range, and when `nearTtl` is not given.
 */
export function compose(near: Backend, far: Backend, options: ComposeOptions): Backend {
  const { clock, label, nearTtlMs, isRace, refills, onNearError } = planOf(near, far, options);
  const [nearSide, farSide] = [new Side(near, clock, onNearError), new Side(far, clock)];
  const copies = new NearCopies({ near: nearSide, clock, nearTtlMs, refills, farLags: far.readsLag === true });
  const readMany = reading(copies, farSide, isRace);
  return {
    ...settingsOf(near, far),
    label,
    deadlineMs: nearSide.deadlineMs + farSide.deadlineMs,
    boundsCalls: true,
    // Each side has its own: near answers also while far does not.
    breaker: { failures: Infinity, waitMs: 1_000, longestWaitMs: 1_000 },
    async read(key) {
      if (isVersion(key)) return farSide.call("read", key, () => far.read(key));
      const [found] = await readMany([key]);
      if (found instanceof Error) throw found;
      return found;
    },
    async write(key, entry) {
      const write = (): Promise<void> => farSide.call("write", key, () => far.write(key, entry));
      if (isVersion(key)) return write();
      // Without a version, far may give it one that a copy would not have.
      const hasOwnVersion = entry.version !== undefined || far.leases === undefined;
      return copies.change(key, hasOwnVersion ? entry : undefined, write);
    },
    remove: (key) => copies.change(key, undefined, () => farSide.call("remove", key, () => far.remove(key))),
    ...(far.markStale !== undefined && {
      markStale: (key: string) =>
        copies.change(key, undefined, () => farSide.call("markStale", key, () => far.markStale!(key))),
    }),
    async connect() {
      await Promise.all([near.connect?.().catch(onNearError), far.connect?.()]);
    },
    async close() {
      await copies.settled();
      await Promise.all([nearSide.close(), farSide.close()]);
    },
    ...(far.walk !== undefined && { walk: (walk: KeyWalk) => far.walk!(walk) }),
    batch: { read: readMany },
    ...(far.leases !== undefined && { leases: leasesOf(copies, farSide, far.leases) }),
    ...(far.tagVersions !== undefined && { tagVersions: versionsOf(farSide, far.tagVersions) }),
    ...(far.coherence !== undefined && { coherence: coherenceOf(farSide, far.coherence) }),
  };
}

/** Reads of many keys: one trip to `near`, and one to `far` for those that have no fresh copy. */
function reading(
  copies: NearCopies,
  far: Side,
  isRace: boolean,
): (keys: readonly string[]) => Promise<readonly Found[]> {
  /** The entry of `far` is newer, but that of `near` beats nothing. */
  const better = (copy: StoredAnswer | undefined, found: Found): Found =>
    isFresh(copy) || (found instanceof Error && copy !== undefined) ? copy : found;
  const behind = async (key: string): Promise<StoredAnswer | undefined> => {
    const asked = copies.asking();
    const [found] = await far.read([key]);
    if (found instanceof Error) throw found;
    return found && copies.copying(key, found, asked);
  };
  return async (keys) => {
    const held = copies.read(keys, behind);
    let asked = copies.asking();
    const found = isRace
      ? far.read(keys)
      : held.then(async (own) => {
          const missing = keys.filter((_, i) => !isFresh(own[i]));
          asked = copies.asking();
          const answers = (missing.length === 0 ? [] : await far.read(missing)).values();
          return own.map((copy) => (isFresh(copy) ? undefined : answers.next().value));
        });
    const copied = found.then((others) =>
      others.map((other, i) => {
        const hasCopy = held.then((own) => isFresh(own[i]));
        return isFresh(other) ? copies.copying(keys[i]!, other, asked, hasCopy) : other;
      }),
    );
    const first = isRace ? await Promise.race([held, copied]) : undefined;
    if (first?.every(isFresh) === true) return first;
    const [own, others] = await Promise.all([held, copied]);
    return keys.map((_, i) => better(own[i], others[i]));
  };
}

function leasesOf(copies: NearCopies, far: Side, leases: Leases): Leases {
  return {
    ...(leases.leaseMs !== undefined && { leaseMs: leases.leaseMs }),
    async acquire(request) {
      const { key } = request;
      const asked = copies.asking();
      const answer = await far.call("lease", key, () => leases.acquire(request));
      return "entry" in answer ? { granted: false, entry: copies.copying(key, answer.entry, asked) } : answer;
    },
    renew: (key, ...request) => far.call("lease", key, () => leases.renew(key, ...request)),
    release: (key, token) => far.call("lease", key, () => leases.release(key, token)),
    store: (key, token, seen, entry) =>
      copies.change(key, entry, () => far.call("write", key, () => leases.store(key, token, seen, entry))),
    touch: (key, seen, life) =>
      copies.change(key, undefined, () => far.call("write", key, () => leases.touch(key, seen, life))),
    confirm: (key) => far.call("lease", key, () => leases.confirm(key)),
  };
}

function versionsOf(far: Side, versions: TagVersions): TagVersions {
  return {
    read: (tags) => far.readVersions(() => versions.read(tags)),
    pin: (tags) => far.call("tags", tags[0], () => versions.pin(tags)),
    unchangedSince: (at, tags) => far.call("tags", tags[0], () => versions.unchangedSince(at, tags)),
    renew: (tags, mode) => far.call("tags", tags[0], () => versions.renew(tags, mode)),
  };
}

/** After a sign of life `far` is asked again immediately. */
function coherenceOf(far: Side, coherence: Coherence | "sole-writer"): Coherence | "sole-writer" {
  if (coherence === "sole-writer") return coherence;
  const { maxStalenessMs, reissueWindowMs } = coherence;
  return {
    ...(maxStalenessMs !== undefined && { maxStalenessMs }),
    ...(reissueWindowMs !== undefined && { reissueWindowMs }),
    attach: (listener) =>
      coherence.attach({
        now: () => listener.now(),
        changed: (keys, versions) => listener.changed(keys, versions),
        leaseChanged: (keys, order) => listener.leaseChanged(keys, order),
        tagsChanged: (tags, versions) => listener.tagsChanged(tags, versions),
        everythingChanged: (part, concerns) => listener.everythingChanged(part, concerns),
        alive(sentAtMs, part) {
          far.alive(sentAtMs, part);
          listener.alive(sentAtMs, part);
        },
        replaced: (part) => listener.replaced(part),
        lost: (error, part) => listener.lost(error, part),
      }),
  };
}

const isFresh = (found: Found): found is StoredAnswer =>
  found !== undefined && !(found instanceof Error) && found.staleInMs > 0;

/** The key of a tag version that the cache keeps as an entry: no copy may hide that it was renewed. */
const isVersion = (key: string): boolean => key.startsWith("{~");
