import { expect, it } from "vitest";
import { flush } from "@hotset/testing";
import { Reply } from "./reply.ts";

class Answer extends Reply<string> {
  override pass(): void {
    this.reject(new Error("late"));
  }

  give(value: string): void {
    this.resolve(value);
  }
}

it.each(["before it is answered", "after it"])(
  "tells a wrapper that listens, and the cache, in whichever order they come: %s",
  async (when) => {
    const told: string[] = [];
    const answer = new Answer();
    if (when === "after it") answer.give("a");
    void answer.then((value) => told.push(`wrapper: ${value}`));
    answer.settle(
      (value) => told.push(`cache: ${value}`),
      () => told.push("failed"),
    );
    if (when !== "after it") answer.give("a");
    await flush();
    expect(told).toEqual(["wrapper: a", "cache: a"]);
  },
);

it.each([true, false])("tells a wrapper that listens after the cache did; answered by then: %s", async (isAnswered) => {
  const told: string[] = [];
  const answer = new Answer();
  answer.settle(
    (value) => told.push(`cache: ${value}`),
    () => told.push("failed"),
  );
  if (isAnswered) answer.give("a");
  void answer.then((value) => told.push(`wrapper: ${value}`));
  if (!isAnswered) answer.give("a");
  await flush();
  expect(told).toEqual(["cache: a", "wrapper: a"]);
});

it("tells both that it failed", async () => {
  const told: string[] = [];
  const answer = new Answer();
  answer.catch(() => told.push("wrapper"));
  answer.settle(
    () => told.push("answered"),
    () => told.push("cache"),
  );
  answer.pass();
  await flush();
  expect(told).toEqual(["wrapper", "cache"]);
});
