import type { Guard } from "../coherence/guards.ts";
import type { Awaitable } from "../contracts/awaitable.ts";
import type { Encoded } from "../entry/codec.ts";
import type { Entry } from "../entry/entry.ts";
import type { NamespaceContext } from "./call.ts";

export type SetStatus = "stored" | "pending" | "refused";

/** One call of `set`. */
export interface SetCall {
  readonly namespace: NamespaceContext;
  readonly entry: Entry;
}

interface Waiting extends SetCall, PromiseWithResolvers<SetStatus> {
  /** Why its value cannot be encoded. */
  refusal?: { readonly error: unknown };
}

/**
 * The calls of `set` of one key that wait for the same earlier write: only the last one is sent, since it would replace
 * the others immediately. They have its result.
 */
export class SetBatch {
  readonly #calls: Waiting[] = [];
  #status: SetStatus | undefined;
  /** That of the last call: earlier ones keep no copy. */
  guard: Guard;

  constructor(guard: Guard) {
    this.guard = guard;
  }

  add(call: SetCall): Promise<SetStatus> {
    const waiting: Waiting = { ...call, ...Promise.withResolvers<SetStatus>() };
    this.#calls.push(waiting);
    return waiting.promise;
  }

  /**
   * Sends the last call that can be encoded. The value of each call is encoded: one that cannot be rejects its call,
   * sent or not. Never rejects.
   */
  async send(
    encode: (value: unknown) => Awaitable<Encoded>,
    send: (call: SetCall, encoded: Encoded) => Promise<SetStatus>,
  ): Promise<void> {
    for (const call of this.#calls.toReversed()) {
      try {
        const encoded = await encode(call.entry.value);
        this.#status ??= await send(call, encoded);
      } catch (error) {
        call.refusal = { error };
      }
    }
  }

  /** Answers the calls, once no later write waits for this one any more. */
  settle(): void {
    for (const { refusal, resolve, reject } of this.#calls)
      if (refusal === undefined) resolve(this.#status!);
      else reject(refusal.error);
  }
}
