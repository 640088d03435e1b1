import type { Mismatch, WhyWrong } from "../contracts/events.ts";

/** The result of one comparison. */
export type Outcome =
  /** Equal to what the source gives. */
  | { readonly kind: "same" }
  | { readonly kind: "different"; readonly mismatch: Mismatch }
  /** The entry changed meanwhile: says nothing. */
  | { readonly kind: "changed" }
  /** Two loads differ where the cached value does, too. */
  | { readonly kind: "unsteady"; readonly fields: readonly string[] }
  | { readonly kind: "failed" }
  | { readonly kind: "left-out" };

/** Of which comparison an outcome is. */
export interface Compared {
  readonly namespace: readonly string[];
  readonly group: string | undefined;
  readonly ageMs: number | undefined;
  readonly writer: string | undefined;
  readonly isOwn: boolean | undefined;
  readonly at: number;
}

interface Sample extends Pick<Compared, "ageMs" | "writer" | "isOwn" | "at"> {
  readonly verdict: Mismatch["verdict"] | undefined;
  readonly why: WhyWrong | undefined;
  readonly otherNamespace: readonly string[] | undefined;
}

/** What was found in a namespace or group of keys lately, see {@link VerifyFigures.groups}. Plain data. */
export interface VerifiedGroup {
  /** Names from the outside in; empty for the root. */
  readonly namespace: readonly string[];
  /** The group of the keys; absent for keys without one. */
  readonly group?: string;
  /** How many values were compared. */
  readonly checked: number;
  /** How many of them were wrong; see {@link Mismatch.verdict}. */
  readonly wrong: number;
  /** How many had changed at the source within the time that is allowed. */
  readonly drift: number;
  /** How many of them were one of the two. */
  readonly unclear: number;
  /** How many differ from load to load, and the fields in which the last one did. */
  readonly unsteady: number;
  readonly unsteadyFields: readonly string[];
  /** How many loads failed. */
  readonly failed: number;
  /** Values by age, the youngest quarter first: how old they were at most, and how many differed. */
  readonly curve: readonly AgeShare[];
  /** How {@link curve} looks, and with it {@link writers}. */
  readonly shape: Shape;
  /** Values by the process that wrote them, those with most mismatches first: at most four. */
  readonly writers: readonly WriterShare[];
  /** Why values were wrong, the most frequent first. */
  readonly reasons: readonly {
    readonly why: WhyWrong;
    readonly count: number;
    readonly otherNamespace?: readonly string[];
  }[];
  /** Whether this process has itself changed or invalidated keys, tags or all of the namespace since it verifies. */
  readonly isInvalidated: boolean;
  /** The last value that differed, without drift. */
  readonly last?: Pick<Mismatch, "key" | "ageMs" | "fields" | "tags"> & { readonly at: number };
}

/** Some of the values, by age. */
export interface AgeShare {
  readonly meanMs: number;
  readonly upToMs: number;
  readonly checked: number;
  readonly different: number;
}

/** Some of the values, by the process that wrote them. */
export interface WriterShare {
  /** As in {@link Mismatch.writer}; `""` where it is not known. */
  readonly writer: string;
  readonly isOwn: boolean;
  readonly checked: number;
  readonly different: number;
}

/**
 * - `none`: nothing differs but drift
 * - `few`: too few to say
 * - `other-writer`: what other processes wrote differs, and what this one wrote does not
 * - `from-start`: young values differ about as often as old ones: they were wrong when they were stored
 * - `grows`: the older the values, the more differ: changes at the source do not reach the cache
 */
export type Shape = "none" | "few" | "other-writer" | "from-start" | "grows";

const KEPT = 256;
const KEPT_MS = 900_000;
const MOST_GROUPS = 200;
const ENOUGH = { different: 3, checked: 8 };
/**
 * Where between the two shapes a curve is taken for level: 0 at a rate of mismatches that is as much lower for young
 * values as they are younger, 1 at one that is as high as that of old ones.
 */
const LEVEL = 0.6;
/** Ages below it are the noise of clocks and loads. */
const LEAST_AGE_MS = 50;
/** Mismatches of others are so much more frequent than those of own entries, where they come from one of them. */
const APART = 4;

/** What was compared in the last 15 minutes, at most 256 values for each of at most 200 namespaces and groups. */
export class VerifyFigures {
  readonly #groups = new Map<string, GroupRecord>();
  readonly #invalidated = new Set<string>();

  add(of: Compared, outcome: Outcome): void {
    const { namespace, group } = of;
    const id = JSON.stringify([namespace, group]);
    let record = this.#groups.get(id);
    if (record === undefined) {
      if (this.#groups.size >= MOST_GROUPS) return;
      this.#groups.set(id, (record = new GroupRecord(namespace, group)));
    }
    record.add(of, outcome);
  }

  /** This process has changed or invalidated a key, a tag or all of this namespace. */
  invalidated(namespace: readonly string[]): void {
    if (this.#invalidated.size < MOST_GROUPS) this.#invalidated.add(JSON.stringify(namespace));
  }

  /** Those with most mismatches first. */
  groups(now: number): readonly VerifiedGroup[] {
    const differing = ({ wrong, unclear }: VerifiedGroup): number => wrong + unclear;
    return Array.from(this.#groups.values(), (record) => record.snapshot(now, (path) => this.#isInvalidated(path)))
      .filter(({ checked, failed, unsteady }) => checked + failed + unsteady > 0)
      .toSorted((one, other) => differing(other) - differing(one) || other.checked - one.checked);
  }

  #isInvalidated(path: readonly string[]): boolean {
    return path.some((_, i) => this.#invalidated.has(JSON.stringify(path.slice(0, i)))) || this.#has(path);
  }

  #has(path: readonly string[]): boolean {
    return this.#invalidated.has(JSON.stringify(path));
  }
}

class GroupRecord {
  readonly #namespace: readonly string[];
  readonly #group: string | undefined;
  #samples: Sample[] = [];
  #unsteady: { readonly at: number; readonly fields: readonly string[] }[] = [];
  #failedAt: number[] = [];
  #last: VerifiedGroup["last"];

  constructor(namespace: readonly string[], group: string | undefined) {
    this.#namespace = namespace;
    this.#group = group;
  }

  add({ ageMs, writer, isOwn, at }: Compared, outcome: Outcome): void {
    if (outcome.kind === "unsteady") this.#unsteady = [...this.#unsteady, { at, fields: outcome.fields }].slice(-KEPT);
    else if (outcome.kind === "failed") this.#failedAt = [...this.#failedAt, at].slice(-KEPT);
    if (outcome.kind !== "same" && outcome.kind !== "different") return;
    const mismatch = outcome.kind === "different" ? outcome.mismatch : undefined;
    const { verdict, why, otherNamespace } = mismatch ?? {};
    this.#samples.push({ ageMs, writer, isOwn, at, verdict, why, otherNamespace });
    if (this.#samples.length > KEPT) this.#samples.shift();
    if (mismatch === undefined || verdict === "drift") return;
    const { key, fields, tags } = mismatch;
    this.#last = { at, key, fields, tags, ...(ageMs !== undefined && { ageMs }) };
  }

  snapshot(now: number, isInvalidated: (path: readonly string[]) => boolean): VerifiedGroup {
    const isRecent = (at: number): boolean => now - at < KEPT_MS;
    const samples = this.#samples.filter(({ at }) => isRecent(at));
    const unsteady = this.#unsteady.filter(({ at }) => isRecent(at));
    const of = (verdict: Mismatch["verdict"]): number => samples.filter((each) => each.verdict === verdict).length;
    const [curve, writers] = [curveOf(samples), writersOf(samples)];
    return {
      namespace: this.#namespace,
      ...(this.#group !== undefined && { group: this.#group }),
      ...{ checked: samples.length, wrong: of("wrong"), drift: of("drift"), unclear: of("unclear") },
      ...{ unsteady: unsteady.length, unsteadyFields: unsteady.at(-1)?.fields ?? [] },
      failed: this.#failedAt.filter((at) => isRecent(at)).length,
      ...{ curve, shape: shapeOf(curve, samples), writers, reasons: reasonsOf(samples) },
      isInvalidated: isInvalidated(this.#namespace),
      ...(this.#last !== undefined && isRecent(this.#last.at) && { last: this.#last }),
    };
  }
}

const isDifferent = ({ verdict }: Sample): boolean => verdict === "wrong" || verdict === "unclear";
const countOf = (samples: readonly Sample[]): number => samples.filter((each) => isDifferent(each)).length;

/** Quarters by age; without those of entries that have none. */
function curveOf(samples: readonly Sample[]): readonly AgeShare[] {
  const aged = samples.filter(({ ageMs }) => ageMs !== undefined).toSorted((one, other) => one.ageMs! - other.ageMs!);
  const quarters = [0, 1, 2, 3].map((at) => aged.slice((at * aged.length) / 4, ((at + 1) * aged.length) / 4));
  return quarters
    .filter((quarter) => quarter.length !== 0)
    .map((quarter) => ({
      meanMs: Math.round(quarter.reduce((sum, { ageMs }) => sum + ageMs!, 0) / quarter.length),
      upToMs: Math.round(quarter.at(-1)!.ageMs!),
      checked: quarter.length,
      different: countOf(quarter),
    }));
}

function writersOf(samples: readonly Sample[]): readonly WriterShare[] {
  const byWriter = Map.groupBy(samples, ({ writer = "", isOwn = false }) => JSON.stringify([writer, isOwn]));
  return Array.from(byWriter.values(), (written) => {
    const { writer = "", isOwn = false } = written[0]!;
    return { writer, isOwn, checked: written.length, different: countOf(written) };
  })
    .toSorted((one, other) => other.different - one.different || other.checked - one.checked)
    .slice(0, 4);
}

/**
 * Over many values the share of mismatches by age shows what one cannot. A source that changes at some rate makes old
 * values differ more often than young ones: the share is `1 - exp(-rate * age)`, about linear while it is small. So
 * `-log(1 - share)` of the young ones is to that of the old ones as their ages are. What was wrong from the start, by a
 * shared key or another source, differs at any age alike: there it is the same for both.
 */
function shapeOf(curve: readonly AgeShare[], samples: readonly Sample[]): Shape {
  const different = countOf(samples);
  if (different === 0) return "none";
  if (different < ENOUGH.different || samples.length < ENOUGH.checked) return "few";
  const own = samples.filter(({ isOwn }) => isOwn === true);
  const others = samples.filter(({ isOwn }) => isOwn === false);
  const shareOf = (some: readonly Sample[]): number => countOf(some) / Math.max(1, some.length);
  const isApart = own.length >= ENOUGH.checked && countOf(others) >= ENOUGH.different;
  if (isApart && shareOf(others) > APART * shareOf(own)) return "other-writer";
  const [young, old] = [curve[0], curve.at(-1)];
  if (young === undefined || old === undefined || curve.length < 4) return "few";
  if (old.different === 0) return "from-start";
  const ofAges = Math.max(LEAST_AGE_MS, young.meanMs) / Math.max(LEAST_AGE_MS, old.meanMs);
  return changesOf(young) / changesOf(old) > ofAges ** (1 - LEVEL) ? "from-start" : "grows";
}

/** How often the source has changed since the load, of values of one age, if it changes at some rate. */
const changesOf = ({ different, checked }: AgeShare): number => -Math.log(1 - Math.min(0.98, different / checked));

function reasonsOf(samples: readonly Sample[]): VerifiedGroup["reasons"] {
  const wrong = samples.filter(({ why }) => why !== undefined);
  const byReason = Map.groupBy(wrong, ({ why, otherNamespace }) => JSON.stringify([why, otherNamespace]));
  return Array.from(byReason.values(), (some) => {
    const { why, otherNamespace } = some[0]!;
    return { why: why!, count: some.length, ...(otherNamespace !== undefined && { otherNamespace }) };
  }).toSorted((one, other) => other.count - one.count);
}
