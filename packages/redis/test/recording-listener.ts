import type { CoherenceListener } from "@hotset/core";

/** Records each notification as one line, oldest first. */
export class RecordingListener implements CoherenceListener {
  readonly received: string[] = [];
  /** `sentAtMs` of each sign of life. */
  readonly signs: number[] = [];
  readonly losses: unknown[] = [];
  /** `sentAtMs` of the last sign of life of each part; none for one that was lost since. */
  readonly parts = new Map<string, number>();

  now(): number {
    return performance.now();
  }

  changed(keys: readonly string[]): void {
    for (const key of keys) this.received.push(`changed ${key}`);
  }

  leaseChanged(keys: readonly string[], order = "loose"): void {
    for (const key of keys) this.received.push(`lease ${order} ${key}`);
  }

  tagsChanged(tags: readonly string[]): void {
    for (const tag of tags) this.received.push(`tag ${tag}`);
  }

  everythingChanged(part?: string): void {
    this.received.push(part === undefined ? "everything" : `everything of ${part}`);
  }

  alive(sentAtMs: number, part?: string): void {
    this.signs.push(sentAtMs);
    if (part !== undefined) this.parts.set(part, sentAtMs);
  }

  replaced(): void {
    this.received.push("replaced");
  }

  lost(error: unknown, part?: string): void {
    if (part !== undefined) this.parts.delete(part);
    this.losses.push(error);
    this.received.push("lost");
  }

  /** The notifications since the last call. */
  take(): readonly string[] {
    return this.received.splice(0);
  }
}
