import type { Followed } from "@hotset/postgres-follow";
import { until } from "@hotset/test-servers";

/** A cache that records its calls, and acknowledges them if `answers` says so. */
export class Recorder implements Followed {
  readonly tags: string[] = [];
  /** When each tag came, by `performance.now()`. */
  readonly tagsAt: number[] = [];
  readonly keys: string[] = [];
  clears = 0;
  calls = 0;
  answers: () => boolean | Promise<boolean> = () => true;
  /** Whether its follower has nothing left to do: a commit that was not visible yet is invalidated twice. */
  isDone: () => boolean = () => true;
  readonly name = "recorded";

  async invalidateTags(...given: readonly string[] | readonly [readonly string[]]): ReturnType<Followed["clear"]> {
    this.calls += 1;
    const isDone = await this.answers();
    this.tags.push(...given.flat());
    this.tagsAt.push(...given.flat().map(() => performance.now()));
    return { status: isDone ? "done" : "pending" };
  }

  async deleteMany(keys: readonly string[]): ReturnType<Followed["deleteMany"]> {
    this.calls += 1;
    const isDone = await this.answers();
    this.keys.push(...keys);
    return { deleted: isDone ? keys.length : 0, missing: 0, pending: isDone ? 0 : keys.length };
  }

  async clear(): ReturnType<Followed["clear"]> {
    this.clears += 1;
    return { status: "done" };
  }

  /** The tags and keys since the last call, once `mark` is among them. */
  async until(mark: string): Promise<readonly string[]> {
    await until(`the tag ${mark}`, async () => this.tags.includes(mark) && this.isDone());
    this.keys.splice(0).forEach((key) => this.tags.push(`key ${key}`));
    return [...new Set(this.tags.splice(0))].filter((tag) => !tag.startsWith("mark"));
  }
}
