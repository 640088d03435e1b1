import { encodedPlaceholder, type Encoded } from "../entry/codec.ts";
import { newEntry, wholeInstant, type Entry, type Placeholder } from "../entry/entry.ts";
import { staleFrom } from "../entry/freshness.ts";
import { dependencies, NO_TAGS, type EntryKey, type KeySpace } from "../entry/key.ts";
import { termsIn } from "../entry/terms.ts";
import { newId } from "../primitives/ids.ts";
import { ignore } from "../primitives/ignore.ts";
import { promised, type Settlers } from "../primitives/settlers.ts";
import { versionsFor, type Pinned } from "../tags/tag-versions.ts";
import type { EntryLeases, LeaseAnswer, ReadRequest, StoreStatus } from "../tiers/entry-tier.ts";
import type { RemoteTier } from "../tiers/remote-tier.ts";
import type { Copies, Reporting } from "./context.ts";
import { FENCE_MS, NO_LABELS, NO_LIMITS } from "./store.ts";

/** A fence of what others change. */
export interface FarFence {
  /** The position of the issuer of tag versions; absent where the backend did not answer. */
  readonly at: string | undefined;
  /**
   * The version of the entry in the backend, `''` if it is not known; `undefined` where the backend has no leases: then
   * changes of the key by others are not seen.
   */
  readonly version: string | undefined;
}

/** An entry behind its fence. */
export interface FencedWrite {
  readonly key: EntryKey;
  readonly entry: Entry;
  readonly fence: FarFence;
  readonly encoded: Encoded;
  /** Whether this process has called nothing since. */
  readonly stands: () => boolean;
}

/** How it ended: `overtaken` by a change since. */
export interface BehindFence {
  readonly status: StoreStatus;
  readonly versions: Entry["versions"];
}

/**
 * The fences in a backend: the version of the entry, and the position of the issuer of tag versions. A missing entry
 * has no version, so a placeholder is put in its place: one that no call is served, and that no load takes notice
 * of, since it is stale from its beginning. Each change of the key, by any process and any release, ends the placeholder or
 * gives it another version. No call waits for it.
 */
export class FarFences {
  readonly #context: Pick<Reporting, "clock"> & Pick<Copies, "tags" | "local">;

  constructor(context: Pick<Reporting, "clock"> & Pick<Copies, "tags" | "local">) {
    this.#context = context;
  }

  /** Takes the fences of `keys`: in one trip where memory has a copy that does not end soon, else in up to three. */
  async take(remote: RemoteTier, space: KeySpace, keys: readonly EntryKey[]): Promise<readonly FarFence[]> {
    const asking = this.#position(remote, dependencies(space, NO_TAGS));
    const versions = await Promise.all(keys.map((key) => this.#versionOf(remote, key)));
    const at = await asking;
    return versions.map((version) => ({ at, version }));
  }

  async store(remote: RemoteTier, { key, entry, fence, encoded, stands }: FencedWrite): Promise<BehindFence> {
    const { leases } = remote;
    const { at, version = "" } = fence;
    const versions =
      at === undefined ? undefined : await versionsFor(remote.versions!, { at, versions: NONE }, entry.terms.dependsOn);
    const isCurrent = versions !== undefined && stands();
    // One that was taken while the backend was away: if it still is, the lease says so.
    if (!isCurrent && (at !== undefined || leases === undefined)) return OVERTAKEN;
    const write = { entry, encoded, versions };
    if (leases === undefined)
      return { status: await promised((ends: Settlers<StoreStatus>) => remote.writeTo(key, write, ends)), versions };
    const token = entry.version!;
    // A load that runs has read its source later.
    const answer = await this.#acquire(leases, key, token, version);
    if (answer.kind !== "granted") return OVERTAKEN;
    const { seen } = answer;
    let isHeld = true;
    try {
      if (!isCurrent || seen === "" || seen !== version) return OVERTAKEN;
      const status = await promised((ends: Settlers<StoreStatus>) => leases.store(key, write, token, seen, ends));
      isHeld = false;
      return { status, versions };
    } finally {
      // No other process is to wait for it.
      if (isHeld) void leases.release(key, token).then(ignore, ignore);
    }
  }

  async #position(remote: RemoteTier, keys: readonly string[]): Promise<string | undefined> {
    try {
      return remote.versions && (await remote.knownVersions.pin(remote.versions, keys, false)).at;
    } catch {
      // The tier has reported it.
      return undefined;
    }
  }

  /** The version of the entry, or of the placeholder in its place. */
  async #versionOf(remote: RemoteTier, key: EntryKey): Promise<string | undefined> {
    const { leases } = remote;
    if (leases === undefined) return undefined;
    try {
      for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
        const found = await leases.confirm(key);
        const version = await (found === ""
          ? this.#putPlaceholder(leases, key, "")
          : this.#lasting(remote, leases, key, found));
        if (version !== "") return version;
      }
    } catch {
      // The tier has reported it.
    }
    return "";
  }

  /**
   * Makes sure that the version outlives the fence. The end of the entry would look like a change, so an end that is
   * near is put off; no call is served by the entry after the end that it had.
   */
  async #lasting(remote: RemoteTier, leases: EntryLeases, key: EntryKey, version: string): Promise<string> {
    const now = this.#context.clock.now();
    const copy = this.#context.local?.get(key.local, now);
    // A copy from before its versions were known would take them away from the entry.
    const isWhole = copy?.version === version && !(remote.versions && !copy.versions);
    const entry = isWhole ? copy : await remote.reads.read(this.#request(key), remote.deadlineMs);
    // Its tags hide it, and no call is served by it any more.
    if (entry === undefined) return this.#putPlaceholder(leases, key, version);
    const expiresAt = wholeInstant(now) + FENCE_MS;
    if (entry.version !== version || entry.expiresAt >= expiresAt) return entry.version ?? "";
    const ended = staleFrom(entry, entry.expiresAt);
    const lateMs = entry.expiresAt - ended.staleAt;
    const terms = {
      ...entry.terms,
      staleWhileRevalidateMs: Math.min(entry.terms.staleWhileRevalidateMs, lateMs),
      staleIfErrorMs: Math.min(entry.terms.staleIfErrorMs, lateMs),
      keepForMs: expiresAt - ended.staleAt,
    };
    return (await leases.touch(key, { ...ended, expiresAt, deadAt: expiresAt, terms })) ? version : "";
  }

  /** Another process may hold the lease for a moment, since it puts the same placeholder there; or for a load. */
  async #putPlaceholder(leases: EntryLeases, key: EntryKey, over: string): Promise<string> {
    const { clock, tags } = this.#context;
    const version = newId();
    const answer = await this.#acquire(leases, key, version, over);
    if (answer.kind !== "granted") return "";
    const limits = { ...NO_LIMITS, keepForMs: FENCE_MS };
    const terms = { ...termsIn(key.space, limits, NO_LABELS), placeholder: PLACEHOLDER };
    const entry = newEntry({ value: null, ttlMs: 0, terms, now: clock.now(), tagSequence: tags.sequence, version });
    const write = { entry, encoded: encodedPlaceholder(PLACEHOLDER), versions: undefined };
    const { seen } = answer;
    const status = await promised((ends: Settlers<StoreStatus>) => leases.store(key, write, version, seen, ends));
    return status === "stored" ? version : "";
  }

  #acquire(leases: EntryLeases, key: EntryKey, token: string, seen: string): Promise<LeaseAnswer> {
    return leases.acquire(this.#request(key), token, seen, {});
  }

  #request(key: EntryKey): ReadRequest {
    return { key, schema: undefined, expectedTags: NO_TAGS, tagSequence: this.#context.tags.sequence };
  }
}

const ATTEMPTS = 3;
const PLACEHOLDER: Placeholder = "not-stored";
const NONE: Pinned["versions"] = new Map();
const OVERTAKEN: BehindFence = { status: "overtaken", versions: undefined };
