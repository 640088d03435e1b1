import type { Finding, PastFinding } from "./pages.ts";

const HOUR_MS = 3_600_000;
/** A finding that comes again within this time continues the former one. */
const JOINED_MS = 30_000;
const MOST = 200;

/** The findings of the last hour, with its beginning, its end, and how often it came. */
export class FindingLog {
  readonly #known = new Map<string, PastFinding & { readonly seenAt: number }>();

  #begun: Finding[] = [];

  update(found: readonly Finding[], now: number): void {
    for (const finding of found) {
      const known = this.#known.get(finding.id);
      const isNew = known === undefined || now - known.seenAt > JOINED_MS;
      const before = isNew ? [] : known.by;
      const joined = finding.by.filter((name) => !before.includes(name));
      if (isNew) this.#begun.push(finding);
      // In another process it begins later.
      else if (before.length > 0 && joined.length > 0) this.#begun.push({ ...finding, by: joined });
      // At its height.
      const text = known !== undefined && !isNew && known.weight > finding.weight ? known : finding;
      this.#known.delete(finding.id);
      this.#known.set(finding.id, {
        ...{ ...finding, text: text.text, weight: text.weight, level: text.level },
        by: [...before, ...joined],
        since: isNew ? now : known.since,
        until: null,
        times: (known?.times ?? 0) + (isNew ? 1 : 0),
        seenAt: now,
      });
    }
    const ids = new Set(found.map(({ id }) => id));
    for (const [id, known] of this.#known) {
      if (now - known.seenAt > HOUR_MS || this.#known.size > MOST) this.#known.delete(id);
      else if (!ids.has(id) && known.until === null) this.#known.set(id, { ...known, until: known.seenAt });
    }
  }

  /** Findings that have begun since the last call, for each process of which they are found. */
  takeBegun(): readonly Finding[] {
    return this.#begun.splice(0);
  }

  since(id: string): number | undefined {
    return this.#known.get(id)?.since;
  }

  /** Findings that have ended, the last one first. */
  get past(): readonly PastFinding[] {
    return [...this.#known.values()]
      .filter(({ until }) => until !== null)
      .map(({ seenAt, ...each }) => ({ ...each, until: seenAt }))
      .toSorted((one, other) => other.until - one.until);
  }
}
