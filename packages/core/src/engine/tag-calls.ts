import type { InvalidateResult } from "../contracts/results.ts";
import { partsOf } from "../primitives/in-windows.ts";
import { Semaphore } from "../primitives/semaphore.ts";
import { TAGS_OF_ONE_STEP, tagKeys } from "../tags/tag-versions.ts";
import { checkRoomForMeta, type NamespaceContext } from "./call.ts";
import type { Copies, Reporting, Writing } from "./context.ts";
import { describeInvalidation } from "./explanations.ts";
import type { Lease } from "./lease.ts";

/** The calls that invalidate tags, or mark them stale, and `clear`: in the four steps of `Mutations`. */
export class TagCalls {
  readonly #context: Reporting & Copies & Writing;
  readonly #leases: Iterable<Lease>;

  /** @param leases requested or held. */
  constructor(context: Reporting & Copies & Writing, leases: Iterable<Lease>) {
    this.#context = context;
    this.#leases = leases;
  }

  /** `tags` empty: the whole namespace. */
  invalidate(...call: TagCall): Promise<InvalidateResult> {
    return this.#context.writes.include(this.#invalidate(...call));
  }

  async #invalidate(...[namespace, names, mode]: TagCall): Promise<InvalidateResult> {
    const { tags, local, recovery, events } = this.#context;
    const { keySpace, remote } = namespace;
    checkRoomForMeta(namespace);
    const keys = tagKeys(keySpace, names);
    tags.called(keySpace, keys, mode);
    this.#context.decisions?.note(keySpace.tagPrefixes.at(-1)!, "write", describeInvalidation(names, mode));
    const callSequence = tags.sequence;
    // No entry outlives the clear of the root, so all copies can go together.
    if (mode === "hard" && names.length === 0 && keySpace.path.length === 0) local?.tier.clear();
    if (events.invalidate.isObserved) {
      const scope = names.length === 0 ? "namespace" : "tags";
      const of = { cache: this.#context.name, namespace: keySpace.path, scope, origin: "here" } as const;
      const tagged = names.length !== 0 && { tags: names };
      events.invalidate.emit({ ...of, mode: mode === "hard" ? "remove" : "stale", ...tagged });
    }
    if (remote?.versions === undefined) return { status: "done" };
    remote.knownVersions.forget(keys);
    const { versions } = remote;
    const steps = new Semaphore(STEPS_AT_ONCE);
    const renew = async (part: readonly string[]): Promise<boolean> => {
      if (!steps.tryTake()) await steps.take();
      const takeovers = recovery?.takeovers;
      let isDone = false;
      try {
        await versions.renew(part, mode);
        isDone = recovery?.takeovers === takeovers;
      } catch {
        // The tier has reported it.
      }
      if (isDone) recovery?.acknowledgedTags(keySpace, part, mode, callSequence);
      else recovery?.addTags(keySpace, part, mode, callSequence);
      // In the tick in which an earlier call is no longer pending: what was read before may be older than both.
      tags.acknowledged(keySpace, part, mode);
      steps.free();
      return isDone;
    };
    const renewing = Promise.all(Array.from(partsOf(keys, TAGS_OF_ONE_STEP), renew));
    // After the renewal was sent: before it, another load might be granted under the old versions, and could not be
    // stored.
    for (const lease of this.#leases) lease.releaseUnder(keys);
    const isPending = (await renewing).includes(false);
    // Leases granted meanwhile: the results of their loads are fenced by now.
    for (const lease of this.#leases) lease.releaseUnder(keys);
    return { status: isPending ? "pending" : "done" };
  }
}

type TagCall = [namespace: NamespaceContext, names: readonly string[], mode: "hard" | "soft"];

const STEPS_AT_ONCE = 16;
