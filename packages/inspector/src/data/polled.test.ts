import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Polled } from "./polled.ts";

const BEGIN = 1_000_000;
beforeEach(() => void vi.useFakeTimers({ toFake: ["Date", "performance"], now: BEGIN }));
afterEach(() => void vi.useRealTimers());

/** A backend whose next answers the test gives. */
function asked(): { readonly polled: Polled<string>; readonly give: (answer: string | Error) => Promise<void> } {
  const waiting: ((answer: string | Error) => void)[] = [];
  const polled = new Polled(
    1_000,
    () =>
      new Promise<string>((resolve, reject) =>
        waiting.push((answer) => (typeof answer === "string" ? resolve(answer) : reject(answer))),
      ),
  );
  return {
    polled,
    async give(answer) {
      polled.current();
      waiting.shift()!(answer);
      await vi.advanceTimersByTimeAsync(1_000);
    },
  };
}

it("has the last answer, and says since when there is none, and of when it is", async () => {
  const { polled, give } = asked();
  expect(polled.current()).toEqual({ value: undefined, silence: null });
  await give("one");
  expect(polled.current()).toEqual({ value: "one", silence: null });
  await give(new Error("gone"));
  await give(new Error("still gone"));
  const silence = { since: BEGIN + 1_000, shownAt: BEGIN, error: "still gone" };
  expect(polled.current()).toEqual({ value: "one", silence });
  await give("two");
  expect(polled.current()).toEqual({ value: "two", silence: null });
});

it("a question without an answer is a silence as well, after three seconds", () => {
  const { polled } = asked();
  polled.current();
  vi.advanceTimersByTime(2_999);
  expect(polled.current().silence).toBe(null);
  vi.advanceTimersByTime(1);
  expect(polled.current().silence).toEqual({ since: BEGIN, shownAt: null, error: "no answer yet" });
});

it("those who need an answer get it, or its error", async () => {
  const { polled, give } = asked();
  const first = polled.answer();
  await give("one");
  expect([await first, await polled.answer()]).toEqual(["one", "one"]);
  const { polled: other, give: giveOther } = asked();
  const failed = other.answer().catch((error: unknown) => error);
  await giveOther(new Error("gone"));
  expect(await failed).toEqual(new Error("gone"));
});
