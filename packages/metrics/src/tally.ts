import type { Labels, Sample } from "./instrument.ts";

/** Counts events by labels, until an exporter reads them. The labels must be few: it forgets none. */
export class Tally {
  readonly #counts = new Map<string, { readonly labels: Labels; count: number }>();

  add(labels: Labels): void {
    const place = Object.values(labels).join("\0");
    const known = this.#counts.get(place);
    if (known === undefined) this.#counts.set(place, { labels, count: 1 });
    else known.count += 1;
  }

  samples(): readonly Sample[] {
    return [...this.#counts.values()].map(({ labels, count }): Sample => [labels, count]);
  }
}
