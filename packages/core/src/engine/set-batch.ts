import type { Guard } from "../coherence/guards.ts";
import type { Entry } from "../entry/entry.ts";
import type { EntryKey } from "../entry/key.ts";
import type { Ends } from "../primitives/ends.ts";
import type { NamespaceContext } from "./call.ts";
import type { Standing } from "./fences.ts";

export type SetStatus = "stored" | "pending" | "refused";

/** One call of `set`. */
export interface SetCall {
  readonly namespace: NamespaceContext;
  readonly key: EntryKey;
  readonly entry: Entry;
  /** The fence that it is behind. */
  readonly standing: Standing | undefined;
  readonly ends: Ends<SetStatus>;
  /** Why its value cannot be encoded. */
  refusal?: { readonly error: unknown };
}

/**
 * The calls of `set` of one key that wait for the same earlier write: only the last one is sent, since it would replace
 * the others immediately. They have its result.
 */
export class SetBatch {
  readonly calls: SetCall[];
  /** That of the last call: earlier ones keep no copy. */
  guard: Guard;
  /** The status of the call that was sent. */
  status: SetStatus | undefined;

  constructor(call: SetCall, guard: Guard) {
    this.calls = [call];
    this.guard = guard;
  }
}
