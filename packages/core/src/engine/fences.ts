import { Guard } from "../coherence/guards.ts";
import { InvalidArgumentError } from "../contracts/errors.ts";
import type { EntryKey } from "../entry/key.ts";
import type { Fence } from "../entry/policy.ts";
import { describe, kindOf } from "../primitives/duration.ts";
import { checkRoomForMeta, type NamespaceContext } from "./call.ts";
import type { Copies, Reporting } from "./context.ts";
import type { FarFence, FarFences } from "./far-fences.ts";
import { FENCE_MS } from "./store.ts";

/** Keys of one cache that may have fences; beyond that the oldest fences are dropped. */
const MOST_FENCES = 10_000;

/** The fence of one key. */
export interface Standing {
  /** Fenced by what this process calls for the key. */
  guard: Guard;
  readonly takenAt: number;
  /** `TagEvents.sequence` then. */
  readonly tagSequence: number;
  /** Changes by others. */
  far: FarFence | undefined;
  /** Whether the fence stays after a `set` that is stored, as one taken by that `set`. */
  isKept: boolean;
}

/** Fences for values that are made outside a load: of what this process changes, and of the backend. */
export class Fences {
  readonly #context: Reporting & Copies;
  readonly #far: FarFences | undefined;
  readonly #standing = new Set<Standing>();

  constructor(context: Reporting & Copies, far: FarFences | undefined) {
    this.#context = context;
    this.#far = far;
  }

  async take(namespace: NamespaceContext, keys: readonly EntryKey[]): Promise<Fence> {
    checkRoomForMeta(namespace);
    const { remote } = namespace;
    const far = remote && (await this.#far!.take(remote, namespace.keySpace, keys));
    // The caller computes from here on: what was called until now is older.
    const { flights, tags, clock } = this.#context;
    const takenAt = clock.now();
    const taken = new Taken(this);
    keys.forEach((key, i) => {
      const guard = new Watch(far?.[i]?.version);
      flights.add(key.local, guard);
      const standing = { guard, takenAt, tagSequence: tags.sequence, far: far?.[i], isKept: false };
      taken.set(key.local, standing);
      this.#standing.add(standing);
    });
    this.#dropOld(takenAt);
    return taken as unknown as Fence;
  }

  /** @throws {InvalidArgumentError} for anything but a fence of these keys. */
  check(fence: Fence, entries: readonly { readonly key: EntryKey }[]): void {
    if (!(fence instanceof Taken) || fence.of !== this)
      throw new InvalidArgumentError(`since must be what fence() of this cache gave, got ${kindOf(fence)}`);
    const other = entries.find(({ key }) => !fence.has(key.local));
    if (other !== undefined)
      throw new InvalidArgumentError(
        `since must be a fence of every key; it is not one of ${describe(other.key.name)}`,
      );
  }

  /** The fence of a key, which is used up. */
  use(fence: Fence, key: EntryKey): Standing {
    this.#dropOld(this.#context.clock.now());
    const standing = (fence as unknown as Taken).get(key.local)!;
    if (this.#remove(standing)) return standing;
    // The `set` that has used it may be under way.
    const guard = new Guard();
    guard.lose();
    return { ...standing, guard };
  }

  /** Renews a fence whose `set` was stored under `version`, with nothing newer called meanwhile. */
  renew(standing: Standing, key: EntryKey, version: string | undefined): void {
    standing.guard = new Watch(version);
    this.#context.flights.add(key.local, standing.guard);
    standing.far &&= { ...standing.far, version };
    this.#standing.add(standing);
  }

  /** Whether this process has called nothing since that concerns an entry with these dependencies. */
  stands({ guard, tagSequence }: Standing, dependsOn: readonly string[]): boolean {
    return guard.fencedBy === undefined && !this.#context.tags.wasMade(dependsOn, tagSequence);
  }

  /** Whether a change by others was reported since. Where the backend does not answer, that decides. */
  isOvertaken({ guard, tagSequence }: Standing, dependsOn: readonly string[]): boolean {
    const { tags } = this.#context;
    return guard.isTainted || dependsOn.some((key) => tags.wasReported(key, tagSequence));
  }

  /** Whether nothing has happened since that this process knows of. */
  isUnchanged(standing: Standing): boolean {
    const { guard, tagSequence } = standing;
    const { flights, tags } = this.#context;
    const isChanged = guard.fencedBy !== undefined || tags.sequence !== tagSequence || !flights.isUntainted(guard);
    return !isChanged && this.#standing.has(standing);
  }

  hasExpired({ takenAt }: Standing, now: number = this.#context.clock.now()): boolean {
    return now - takenAt >= FENCE_MS;
  }

  drop(standing: Standing): void {
    standing.guard.lose();
    this.#remove(standing);
  }

  #dropOld(now: number): void {
    for (const each of this.#standing) {
      if (this.#standing.size <= MOST_FENCES && !this.hasExpired(each, now)) return;
      this.drop(each);
    }
  }

  /** @returns whether it stood. */
  #remove(standing: Standing): boolean {
    this.#context.flights.remove(standing.guard);
    return this.#standing.delete(standing);
  }
}

/** Stores report the changes of this process, too: that to the version which it has is none. */
class Watch extends Guard {
  readonly #version: string | undefined;

  constructor(version: string | undefined) {
    super();
    this.#version = version;
  }

  override taint(version?: string): void {
    if (version === undefined || version !== this.#version) super.taint();
  }
}

/** The fences of some keys, by local key. `adapter` calls its methods, which may be of another copy of this package. */
class Taken extends Map<string, Standing> {
  declare readonly of: Fences;

  constructor(of: Fences) {
    super();
    this.of = of;
  }

  get isUnchanged(): boolean {
    return [...this.values()].every((each) => this.of.isUnchanged(each));
  }

  get hasExpired(): boolean {
    return [...this.values()].some((each) => this.of.hasExpired(each));
  }

  /** Keeps the fences of these keys after a `set`. */
  keep(): void {
    for (const each of this.values()) each.isKept = true;
  }

  drop(): void {
    for (const each of this.values()) this.of.drop(each);
  }
}
