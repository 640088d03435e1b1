import type { CoherenceListener } from "@hotset/core";

/** Records each notification as one line, oldest first. */
export class RecordingListener implements CoherenceListener {
  readonly heard: string[] = [];
  /** `sentAtMs` of each sign of life. */
  readonly signs: number[] = [];
  readonly losses: unknown[] = [];

  now(): number {
    return performance.now();
  }

  changed(keys: readonly string[]): void {
    for (const key of keys) this.heard.push(`changed ${key}`);
  }

  tagsChanged(tags: readonly string[]): void {
    for (const tag of tags) this.heard.push(`tag ${tag}`);
  }

  everythingChanged(): void {
    this.heard.push("everything");
  }

  alive(sentAtMs: number): void {
    this.signs.push(sentAtMs);
  }

  replaced(): void {
    this.heard.push("replaced");
  }

  lost(error: unknown): void {
    this.losses.push(error);
    this.heard.push("lost");
  }

  /** The notifications since the last call. */
  take(): readonly string[] {
    return this.heard.splice(0);
  }
}
