import type { CoherenceListener } from "@hotset/core";

/** Records each notification as one line, oldest first. */
export class RecordingListener implements CoherenceListener {
  readonly received: string[] = [];
  /** `sentAtMs` of each sign of life. */
  readonly signs: number[] = [];
  readonly losses: unknown[] = [];

  now(): number {
    return performance.now();
  }

  changed(keys: readonly string[]): void {
    for (const key of keys) this.received.push(`changed ${key}`);
  }

  tagsChanged(tags: readonly string[]): void {
    for (const tag of tags) this.received.push(`tag ${tag}`);
  }

  everythingChanged(): void {
    this.received.push("everything");
  }

  alive(sentAtMs: number): void {
    this.signs.push(sentAtMs);
  }

  replaced(): void {
    this.received.push("replaced");
  }

  lost(error: unknown): void {
    this.losses.push(error);
    this.received.push("lost");
  }

  /** The notifications since the last call. */
  take(): readonly string[] {
    return this.received.splice(0);
  }
}
