import { flush } from "@hotset/testing";
import { expect, it } from "vitest";
import { Reply } from "./reply.ts";

class Answer extends Reply<string> {
  override pass(): void {
    this.reject(new Error("late"));
  }

  give(value: string): void {
    this.resolve(value);
  }
}

it.each(["when it listened before the answer", "when it listened after it"])(
  "answers a wrapper that listens, then the cache, %s",
  async (when) => {
    const seen: string[] = [];
    const answer = new Answer();
    if (when === "when it listened after it") answer.give("a");
    void answer.then((value) => seen.push(`wrapper: ${value}`));
    answer.settle({ resolve: (value) => seen.push(`cache: ${value}`), reject: () => seen.push("failed") });
    if (when !== "when it listened after it") answer.give("a");
    await flush();
    expect(seen).toEqual(["wrapper: a", "cache: a"]);
  },
);

it.each([true, false])(
  "answers a wrapper that listens after the cache did; answered by then: %s",
  async (isAnswered) => {
    const seen: string[] = [];
    const answer = new Answer();
    answer.settle({ resolve: (value) => seen.push(`cache: ${value}`), reject: () => seen.push("failed") });
    if (isAnswered) answer.give("a");
    void answer.then((value) => seen.push(`wrapper: ${value}`));
    if (!isAnswered) answer.give("a");
    await flush();
    expect(seen).toEqual(["cache: a", "wrapper: a"]);
  },
);

it("rejects for both", async () => {
  const seen: string[] = [];
  const answer = new Answer();
  answer.catch(() => seen.push("wrapper"));
  answer.settle({ resolve: () => seen.push("answered"), reject: () => seen.push("cache") });
  answer.pass();
  await flush();
  expect(seen).toEqual(["wrapper", "cache"]);
});
