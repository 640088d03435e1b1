import { wholeInstant, type Entry } from "../entry/entry.ts";
import { isFresh } from "../entry/freshness.ts";
import { dependencies } from "../entry/key.ts";
import { newId } from "../primitives/ids.ts";
import { readByPin, underVersions } from "../tags/tag-versions.ts";
import type { ReadRequest } from "../tiers/entry-tier.ts";
import type { TagCheck } from "./composed-side.ts";
import type { ReadMark } from "./own-changes.ts";
import type { ComposedParts } from "./side-pair.ts";

type Read = Promise<Entry | undefined>;
type Outcome = PromiseSettledResult<Entry | undefined>;

/** A read of one key, for its refill. */
interface KeyRead {
  readonly near: Read;
  readonly mark: ReadMark;
  /** `clock.now()` when `far` was asked. */
  readonly askedFarAt: number;
}

interface Choice {
  readonly entry: Entry | undefined;
  readonly isFar: boolean;
}

/** Reads from two sides, and copies entries from `far` to `near`. */
export class ComposedReads {
  readonly #parts: ComposedParts;

  constructor(parts: ComposedParts) {
    this.#parts = parts;
  }

  /** One trip to `near`, and one to `far` for the keys that have no fresh entry in `near`. */
  readMany(requests: readonly ReadRequest[], budgetMs: number): readonly Read[] {
    const [first] = requests;
    if (first === undefined) return [];
    const { sides, changes, plan, clock } = this.#parts;
    const { near, far, lead } = sides;
    const startedAt = clock.now();
    const tags = this.tagCheckFor(first);
    const marks = requests.map(({ key }) => changes.begin(key.backend));
    const nears = near.ask(requests, budgetMs, { tags, isLead: lead === near });
    let askedFarAt = startedAt;
    const askFar = (some: readonly ReadRequest[]): ReadonlyMap<ReadRequest, Read> => {
      askedFarAt = clock.now();
      const check = plan.read === "sequential" ? this.#checkingAgain(first, tags) : tags;
      const fars = far.ask(some, budgetMs - (askedFarAt - startedAt), { tags: check, isLead: lead === far });
      return new Map(some.map((request, i) => [request, fars[i]!]));
    };
    const askMissing = async (): Promise<ReadonlyMap<ReadRequest, Read>> => {
      const outcomes = await Promise.allSettled(nears);
      return askFar(requests.filter((_, i) => !this.#isFresh(valueOf(outcomes[i]!))));
    };
    let asked = plan.read === "sequential" ? undefined : Promise.resolve(askFar(requests));
    return requests.map((request, i) => {
      // Absent only if the copy in near has ended in this very moment.
      const findFar = async (): Read => (await (asked ??= askMissing())).get(request);
      const [read, mark] = [nears[i]!, marks[i]!];
      const found = this.#choose(request, read, findFar).then(
        (choice) => this.#found(request, choice, { near: read, mark, askedFarAt }),
        (error: unknown) => {
          changes.end(mark);
          throw error;
        },
      );
      return sides.timed("read", found);
    });
  }

  /**
   * The check of entries against the tag versions, which are read once for all of them. Rejects where they cannot be
   * read.
   */
  tagCheckFor({ key, expectedTags, isCurrent = false }: ReadRequest): TagCheck {
    const { versions, table, clock } = this.#parts;
    if (versions === undefined) return (entry) => Promise.resolve(entry);
    const expected = dependencies(key.space, expectedTags);
    const source = isCurrent ? readByPin(versions) : (table?.skippingKnown(versions) ?? versions);
    // Known ones are looked up when the entry arrives: they may be forgotten in the meantime.
    const asked = !isCurrent && table?.knows(expected) === true ? undefined : source.read(expected);
    asked?.catch(ignore);
    return async (entry) =>
      entry.versions === undefined
        ? entry
        : underVersions(entry, expected, await (asked ?? source.read(expected)), source, clock);
  }

  /**
   * For entries that were asked for later than the versions: one that is younger than these is hidden by them, or stale
   * under them, and is checked against those of now.
   */
  #checkingAgain(request: ReadRequest, tags: TagCheck): TagCheck {
    let again: TagCheck | undefined;
    return async (entry) => {
      const checked = await tags(entry);
      if (checked === entry) return entry;
      again ??= this.tagCheckFor(request);
      // The first verdict stands where the versions of now cannot be read.
      return again(entry).catch(() => checked);
    };
  }

  /** The entry that counts. Rejects only when both sides failed, with both causes. */
  async #choose(request: ReadRequest, near: Read, findFar: () => Read): Promise<Choice> {
    switch (this.#parts.plan.read) {
      case "sequential": {
        const held = await settle(near);
        const entry = valueOf(held);
        return this.#isFresh(entry) ? this.#nearAlone(request, entry) : this.#better(held, await settle(findFar()));
      }
      case "race": {
        const far = findFar();
        const choices = [
          near.then((entry) => (this.#isFresh(entry) ? this.#nearAlone(request, entry) : undefined)),
          far.then((entry): Choice | undefined => (this.#isFresh(entry) ? { entry, isFar: true } : undefined)),
        ];
        return (await first(choices)) ?? this.#better(await settle(near), await settle(far));
      }
      case "freshest": {
        const far = await settle(findFar());
        return this.#better(await settle(near), far);
      }
    }
  }

  /** The version in `near` is the last one known of `far`: for a lease of `far`, if the entry is to be refreshed. */
  #nearAlone(request: ReadRequest, entry: Entry): Choice {
    const { lead, far } = this.#parts.sides;
    if (lead === far && entry.version !== undefined) request.saw?.(entry.version);
    return { entry, isFar: false };
  }

  /** Fresh before stale, then the longer life; a tie goes to `near`. */
  #better(held: Outcome, found: Outcome): Choice {
    this.#parts.sides.answered("read", [held, found]);
    const [near, far] = [valueOf(held), valueOf(found)];
    const isFar =
      far !== undefined &&
      (near === undefined ||
        (this.#isFresh(near) === this.#isFresh(far) ? endOf(far) > endOf(near) : this.#isFresh(far)));
    return { entry: isFar ? far : near, isFar };
  }

  #found({ key }: ReadRequest, { entry, isFar }: Choice, read: KeyRead): Entry | undefined {
    const { sides, changes, plan } = this.#parts;
    // A marker has no value that near could encode.
    if (isFar && this.#isFresh(entry) && entry.terms.marker === undefined && plan.refill === "always")
      sides.inBackground(this.#refill(key, entry, read).finally(() => changes.end(read.mark)));
    else changes.end(read.mark);
    return entry;
  }

  /** Copies an entry from `far` to `near`, unless `near` has a fresh one, or the key has changed since. */
  async #refill(key: ReadRequest["key"], entry: Entry, { near, mark, askedFarAt }: KeyRead): Promise<void> {
    const { sides, changes, plan } = this.#parts;
    const { tier, recovery } = sides.near;
    if (this.#isFresh(valueOf(await settle(near)))) return;
    try {
      const encoded = await tier.encode(entry.value);
      if (!changes.mayCopy(mark, entry)) return;
      const version = tier.leases === undefined ? entry.version : (entry.version ?? newId());
      // Counted from when far was asked: the copy may hide each later change.
      const copy = { ...endingBy(entry, askedFarAt + plan.nearTtlMs), version };
      const write = { entry: copy, encoded, versions: entry.versions };
      await changes.copy(key.backend, version, () => tier.write(key, write));
      recovery.forgetKey(key);
    } catch (error) {
      sides.near.failed(key, error);
    }
  }

  #isFresh(entry: Entry | undefined): entry is Entry {
    return isFresh(entry, this.#parts.clock.now());
  }
}

/** The entry with a life that ends at this instant at the latest. */
export function endingBy(entry: Entry, until: number): Entry {
  if (entry.expiresAt <= until) return entry;
  const expiresAt = wholeInstant(until);
  return { ...entry, expiresAt, deadAt: expiresAt };
}

const valueOf = (outcome: Outcome): Entry | undefined => (outcome.status === "fulfilled" ? outcome.value : undefined);
const ignore = (): undefined => undefined;

async function settle<T>(work: Promise<T>): Promise<PromiseSettledResult<T>> {
  const [outcome] = await Promise.allSettled([work]);
  return outcome;
}

/** When the life of the entry ends. For a copy that `nearTtl` limits, the end of the full entry. */
const endOf = ({ staleAt, terms }: Entry): number =>
  staleAt + Math.max(terms.staleWhileRevalidateMs, terms.staleIfErrorMs);

/** The first value that is not `undefined`; `undefined` when there is none. */
function first<T>(works: readonly Promise<T | undefined>[]): Promise<T | undefined> {
  return Promise.any(works.map(async (work) => (await work) ?? Promise.reject(NONE))).catch(ignore);
}

const NONE = new Error("none");
