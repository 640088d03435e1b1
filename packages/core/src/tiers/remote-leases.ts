import type { Awaitable } from "../contracts/awaitable.ts";
import type { StoredEntry } from "../contracts/backend.ts";
import type { LeaseReply, Leases } from "../contracts/capabilities.ts";
import type { Clock } from "../contracts/clock.ts";
import type { Entry } from "../entry/entry.ts";
import { dependencies, type EntryKey } from "../entry/key.ts";
import { describe } from "../primitives/duration.ts";
import { ignore } from "../primitives/ignore.ts";
import type { Settlers } from "../primitives/settlers.ts";
import { isThenable } from "../primitives/thenable.ts";
import { REMOVES, type BackendCalls } from "./backend-calls.ts";
import type { EntryLeases, EntryWrite, ReadRequest, StoreStatus } from "./entry-tier.ts";

/** A read that was sent. */
export interface SentRead {
  readonly request: ReadRequest;
  /** The keys of the tag versions that the entry is expected to depend on. */
  readonly expected: readonly string[];
  /** `clock.now()` when it was sent. */
  readonly sentAt: number;
  /** A copy that the backend may confirm in place of the data. */
  readonly copy?: Entry | undefined;
}

/** How a tier sends an entry. */
export interface Sending {
  /** Whether `send` resolves with `false` if it was overtaken. */
  readonly isLeased: boolean;
  send(stored: StoredEntry): Promise<unknown>;
  /** Runs in place of `send` for an entry that is larger than `maxEntryBytes`. */
  refuse(): Promise<StoreStatus>;
}

/** The parts of a tier that its leases use. */
export interface LeasingTier {
  readonly calls: BackendCalls;
  readonly clock: Clock;
  /** Decodes an entry and checks it against the tag versions that are current now. */
  decodeCurrent(read: SentRead, stored: StoredEntry): Awaitable<Entry | undefined>;
  lifeOf(entry: Entry): Parameters<Leases["touch"]>[2];
  store(key: EntryKey, write: EntryWrite, sending: Sending, ends: Settlers<StoreStatus>): void;
  /** Removes the entry that a refused one was to replace. */
  refuse(key: EntryKey): Promise<"refused">;
}

/** Default of `Leases.leaseMs`: other processes wait no longer than this for a holder that died. */
export const DEFAULT_LEASE_MS = 2_000;

/** The leases of a backend, for entries: each call is bounded, and an entry that comes with an answer is checked. */
export function remoteLeases(leases: Leases, tier: LeasingTier): EntryLeases {
  const { calls, clock } = tier;
  const { leaseMs = DEFAULT_LEASE_MS } = leases;
  const call = <T>(key: EntryKey, run: () => Promise<T>, isRemoval = false): Promise<T> =>
    calls.run("lease", calls.targetOf(key, isRemoval), calls.deadlineMs, run);
  return {
    leaseMs,
    acquire: async (request, token, seen, { hasExpired = false, isRead = false }) => {
      const operation = isRead ? "read" : "lease";
      const { key } = request;
      const sentAt = clock.now();
      const target = calls.targetOf(key);
      let asked: PromiseLike<LeaseReply> | undefined;
      try {
        const given = await calls.run(operation, target, calls.deadlineMs, () => {
          // A call that comes without a read gets the entry with this answer, or is woken by a message about it.
          asked = leases.acquire({ key: key.backend, token, leaseMs, seen, isOver: hasExpired });
          return asked;
        });
        const malformed = malformedAnswer(given);
        if (malformed !== undefined) throw calls.failed(operation, target, malformed);
        if (given.granted) return { kind: "granted", seen: given.version };
        if ("heldForMs" in given) return { kind: "held", heldForMs: given.heldForMs };
        const expected = dependencies(key.space, request.expectedTags);
        const entry = tier.decodeCurrent({ request, expected, sentAt }, given.entry);
        const { version = "" } = given.entry;
        return { kind: "entry", seen: version, entry: isThenable(entry) ? await entry : entry };
      } catch (error) {
        // Granted after the deadline, or by an answer that is refused: released, since no load will use it.
        asked?.then(({ granted }) => (granted ? leases.release(key.backend, token) : undefined)).then(ignore, ignore);
        throw error;
      }
    },
    renew: (key, token) => call(key, () => leases.renew(key.backend, token, leaseMs)),
    release: (key, token) => call(key, () => leases.release(key.backend, token), REMOVES),
    store: (key, write, token, seen, ends) =>
      tier.store(
        key,
        write,
        {
          isLeased: true,
          send: (stored) => leases.store(key.backend, token, seen, stored),
          // Only the lease holder may remove the entry; the lease is extended just long enough for that.
          refuse: async () => {
            const isHolder = await call(key, () => leases.renew(key.backend, token, 2 * calls.deadlineMs));
            return isHolder ? tier.refuse(key) : "overtaken";
          },
        },
        ends,
      ),
    touch: (key, entry) => call(key, () => leases.touch(key.backend, entry.version ?? "", tier.lifeOf(entry))),
    confirm: (key) => call(key, () => leases.confirm(key.backend)),
  };
}

/** The error for an answer that neither grants the lease nor says why not. */
function malformedAnswer(answer: LeaseReply): TypeError | undefined {
  const given = Object(answer) as Record<string, unknown>;
  const { granted, version, heldForMs, entry } = given;
  // A wait of NaN milliseconds would ask again without a pause.
  const hasReason = "heldForMs" in given ? Number.isFinite(heldForMs) : typeof entry === "object" && entry !== null;
  if (granted ? typeof version === "string" : hasReason) return undefined;
  return new TypeError(`leases.acquire must resolve to a version, heldForMs or an entry, got ${describe(answer)}`);
}
