import type { TagVersions } from "../contracts/backend.ts";
import { haveEqualItems } from "../primitives/equal-items.ts";
import type { TagEvents } from "../tags/tag-events.ts";

/**
 * Writes of one turn under the same tags share one request for their versions, unless a tag was invalidated in between:
 * an answer from before would make the entry a miss.
 */
export class SharedPins {
  readonly #tags: TagEvents;
  /** The request that is under way. */
  #last: Pinning | undefined;

  constructor(tags: TagEvents) {
    this.#tags = tags;
  }

  pin(versions: TagVersions, dependsOn: readonly string[]): Pinned {
    const { sequence } = this.#tags;
    const last = this.#last;
    if (last !== undefined && last.sequence === sequence && haveEqualItems(last.dependsOn, dependsOn))
      return last.pinned;
    const pinning = { dependsOn, sequence, pinned: versions.pin(dependsOn) };
    this.#last = pinning;
    const end = (): void => {
      if (this.#last === pinning) this.#last = undefined;
    };
    pinning.pinned.then(end, end);
    return pinning.pinned;
  }
}

type Pinned = ReturnType<TagVersions["pin"]>;

interface Pinning {
  readonly dependsOn: readonly string[];
  /** That of the tag events when it was asked. */
  readonly sequence: number;
  readonly pinned: Pinned;
}
