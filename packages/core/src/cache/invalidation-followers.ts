import type { CacheError } from "../contracts/errors.ts";
import type { InvalidateResult } from "../contracts/results.ts";
import type { EngineContext } from "../engine/context.ts";

/** What lies outside of the tiers and has to follow their invalidations, such as a CDN. Its methods reject never. */
export interface InvalidationFollower {
  /**
   * Tags of this namespace, or without any the whole of it, are being invalidated; elsewhere too, as far as this process
   * receives it. Called before the tiers have acknowledged it.
   */
  called(path: readonly string[], tags: readonly string[]): void;
  /**
   * An own call that the tiers have acknowledged, or that is pending there. The caller waits for the result.
   *
   * @returns `pending` if it is followed later.
   */
  acknowledged(invalidation: FollowedInvalidation): Promise<InvalidateResult["status"]>;
  /** What was pending has been replayed; `isAll`: nothing more is pending. */
  replayed(isAll: boolean): void;
  /** The cache is being closed, which waits for this as for its writes. */
  close(): Promise<void>;
}

/** An invalidation of tags, or without any of a whole namespace. */
export interface FollowedInvalidation {
  readonly path: readonly string[];
  readonly tags: readonly string[];
  readonly mode: "hard" | "soft";
  /** In the tiers. */
  readonly status: InvalidateResult["status"];
}

/** Where a follower is: its name, in events, and the namespace that it follows. */
export interface FollowedPlace {
  readonly tier: string;
  readonly namespace: readonly string[];
}

/** What a follower reports, as events of the cache, and how it ends. */
export interface Following {
  readonly failed: (at: FollowedPlace, error: CacheError) => void;
  /** @param count invalidations that it never followed */
  readonly lost: (at: FollowedPlace, count: number) => void;
  readonly stop: () => void;
}

/** The followers of one cache. */
export class InvalidationFollowers {
  readonly #context: Pick<EngineContext, "name" | "events" | "lifecycle" | "recovery">;
  readonly #all = new Set<InvalidationFollower>();

  constructor(context: Pick<EngineContext, "name" | "events" | "lifecycle" | "recovery">) {
    this.#context = context;
  }

  /** From now on `follower` is called, until it is stopped. */
  add(follower: InvalidationFollower): Following {
    const { name, events, lifecycle, recovery } = this.#context;
    const farewell = (): Promise<void> => follower.close();
    lifecycle.farewells.add(farewell);
    this.#all.add(follower);
    const stops = [
      events.invalidate.add(({ scope, origin, namespace, tags = [] }) => {
        if (scope !== "key" && origin === "elsewhere") follower.called(namespace, tags);
      }),
      events.recover.add(() => follower.replayed(recovery?.size === 0)),
      events["pending:overflow"].add(({ effect }) => {
        // The whole cache is cleared in place of what was pending.
        if (effect === "clear") void follower.acknowledged({ path: [], tags: [], mode: "hard", status: "pending" });
      }),
    ];
    const stop = (): void => {
      for (const each of stops) each();
      lifecycle.farewells.delete(farewell);
      this.#all.delete(follower);
    };
    return {
      failed: (at, error) => events["backend:error"].emit({ cache: name, ...at, operation: "purge", error }),
      lost: (at, count) => events["pending:lost"].emit({ cache: name, ...at, count }),
      stop,
    };
  }

  /** Makes a call, whose result comes once all that follow it have received it. */
  around(
    call: () => Promise<InvalidateResult>,
    of: Pick<FollowedInvalidation, "path" | "tags" | "mode">,
  ): Promise<InvalidateResult> {
    return this.#all.size === 0 ? call() : this.#followed(call, of);
  }

  async #followed(
    call: () => Promise<InvalidateResult>,
    of: Pick<FollowedInvalidation, "path" | "tags" | "mode">,
  ): Promise<InvalidateResult> {
    for (const each of this.#all) each.called(of.path, of.tags);
    const { status } = await call();
    const statuses = await Promise.all([...this.#all].map((each) => each.acknowledged({ ...of, status })));
    return { status: statuses.includes("pending") ? "pending" : status };
  }
}
