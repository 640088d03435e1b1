import type { TagVersion, TagVersions } from "../contracts/backend.ts";
import { haveEqualItems } from "../primitives/equal-items.ts";
import type { TagEvents } from "../tags/tag-events.ts";

/**
 * The tag versions of writes. Writes of one turn under the same tags share one request for them, unless a tag was
 * invalidated in between: an answer from before would make the entry a miss.
 */
export class SharedPins {
  readonly #tags: TagEvents;
  /** Tag versions seen last. An unchanged one saves a write one trip; a guess, checked each time. */
  readonly #guessed = new Map<string, TagVersion>();
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

  saw(keys: readonly string[], versions: readonly TagVersion[]): void {
    if (this.#guessed.size > MAX_GUESSED) this.#guessed.clear();
    keys.forEach((key, i) => this.#guessed.set(key, versions[i]!));
  }

  /** The versions that these keys had last; `undefined` if one is not known. */
  guessed(dependsOn: readonly string[]): readonly TagVersion[] | undefined {
    const guesses = dependsOn.map((each) => this.#guessed.get(each));
    return guesses.every((guess) => guess !== undefined) ? guesses : undefined;
  }

  /** These are renewed: a guess would be wrong. */
  forget(keys: readonly string[]): void {
    for (const key of keys) this.#guessed.delete(key);
  }
}

type Pinned = ReturnType<TagVersions["pin"]>;

const MAX_GUESSED = 10_000;

interface Pinning {
  readonly dependsOn: readonly string[];
  /** That of the tag events when it was asked. */
  readonly sequence: number;
  readonly pinned: Pinned;
}
