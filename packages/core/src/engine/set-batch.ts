import type { Guard } from "../coherence/guards.ts";
import { EPOCH_ALWAYS } from "../coherence/trust.ts";
import type { Awaitable } from "../contracts/awaitable.ts";
import type { Encoded } from "../entry/codec.ts";
import { storedEntry, type Entry } from "../entry/entry.ts";
import type { EntryKey } from "../entry/key.ts";
import { ignore } from "../primitives/ignore.ts";
import type { Settlers } from "../primitives/settlers.ts";
import { isThenable } from "../primitives/thenable.ts";
import type { NamespaceContext } from "./call.ts";
import type { Copies, Life, Reporting, Writing } from "./context.ts";
import type { Standing } from "./fences.ts";

export type SetStatus = "stored" | "pending" | "refused";

/** How a call that was sent ended; the error of a local tier, say, comes after the backend has stored the value. */
export type SetOutcome = { readonly status: SetStatus } | { readonly error: unknown };

/** One call of `set`. */
export interface SetCall {
  readonly namespace: NamespaceContext;
  readonly key: EntryKey;
  readonly entry: Entry;
  /** The fence that it is behind. */
  readonly standing: Standing | undefined;
  readonly ends: Settlers<SetStatus>;
  /** Only where the call ends once memory has its value. */
  readonly encoding?: Awaitable<Encoded>;
  /** Called when the backend has answered one that has ended. */
  answered?: () => void;
  /** Why it cannot be encoded: it was not sent, and an earlier one may be. */
  refusal?: { readonly error: unknown };
}

/**
 * The calls of `set` of one key that wait for the same earlier write: only the last one that can be encoded is sent,
 * since it would replace the others immediately. They have its result, and none is sent after it, however it ended.
 */
export class SetBatch {
  declare readonly calls: SetCall[];
  /** The guard of the last call: earlier calls keep no copy. */
  declare guard: Guard;
  /** Of the call that was sent. */
  outcome: SetOutcome | undefined;

  constructor(call: SetCall, guard: Guard) {
    this.calls = [call];
    this.guard = guard;
  }
}

/**
 * Puts the value into memory before it is sent, and ends the call. Unless something newer was called, or others
 * have changed something since its fence: then the backend decides. A change after that ends the value of a fence.
 */
export function keepFirst(
  context: Reporting & Copies & Writing & Pick<Life, "waitUntil">,
  call: SetCall,
  guard: Guard,
  encoded: Awaitable<Encoded>,
): void {
  if (isThenable(encoded)) return void encoded.then((each) => keepFirst(context, call, guard, each), ignore);
  const { local, flights, tags, trust, clock, recovery, waitUntil } = context;
  const { namespace, key, entry, standing } = call;
  const hasChanged =
    standing !== undefined &&
    (!flights.isUntainted(standing.guard) || tags.hadChanges(key.space, standing.tagSequence));
  if (hasChanged || guard.fencedBy !== undefined || tags.wasMade(entry.terms.dependsOn, entry.tagSequence)) return;
  // The call fails with it.
  if (!namespace.remote!.hasRoomForMeta(entry, encoded)) return;
  const free = recovery!.reserveEarly(key, encoded.data.length);
  if (free === undefined) return;
  // Reads in flight may have an older entry, and the values of earlier writes, which one behind a fence leaves, are older.
  flights.fenceBefore(key.local, guard, "set");
  const copy = storedEntry(entry, undefined, encoded);
  const epoch = standing === undefined ? EPOCH_ALWAYS : trust.epochOf(key.local);
  local!.keep(key.local, copy, namespace.policy.localTtlMs ?? Infinity, epoch);
  if (local!.get(key.local, clock.now()) === undefined) return free();
  waitUntil?.(new Promise((resolve) => (call.answered = () => resolve(free()))));
  call.answered ??= free;
  call.ends.resolve("pending");
}
