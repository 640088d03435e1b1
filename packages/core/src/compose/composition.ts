import type { TagVersions } from "../contracts/backend.ts";
import type { Clock } from "../contracts/clock.ts";
import type { KeySpace } from "../entry/key.ts";
import type { Events } from "../primitives/event-port.ts";
import type { KnownVersions } from "../tags/known-versions.ts";

/** The options of a composition, resolved. */
export interface CompositionPlan {
  readonly label: string;
  readonly read: "sequential" | "race" | "freshest";
  readonly write: "sequential" | "parallel" | "race";
  readonly refill: "always" | "never";
  readonly nearTtlMs: number;
}

/** The parts of its cache that a composition uses. */
export interface CompositionParts {
  readonly clock: Clock;
  readonly events: Events;
  readonly cache: string;
  readonly root: KeySpace;
  /** The tag versions that are known without a trip; `undefined` where changes of them are not reported. */
  readonly table: KnownVersions | undefined;
  /** The tag versions of the whole composition, in which this one may be nested. */
  readonly versions: TagVersions | undefined;
  /** Whether it belongs to the near side of another composition, so that a `nearTtl` bounds all its entries. */
  readonly isNear: boolean;
}
