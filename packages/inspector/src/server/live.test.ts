import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { liveStream } from "./live.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }));
afterEach(() => void vi.useRealTimers());

/** Reads what the stream sends, as texts. */
function reading(response: Response): { readonly sent: string[] } {
  const sent: string[] = [];
  void (async () => {
    for await (const part of response.body!) sent.push(new TextDecoder().decode(part));
  })();
  return { sent };
}

it("sends the parts that have changed, four times a second", async () => {
  let n = 0;
  const { response, end } = liveStream(
    () => ({ n: Math.floor((n += 1) / 2), same: true }),
    () => {},
  );
  const { sent } = reading(response);
  await vi.advanceTimersByTimeAsync(1_050);
  end();
  expect(sent).toEqual(["retry: 2000\n\n", 'data: {"n":0,"same":true}\n\n', 'data: {"n":1}\n\n', 'data: {"n":2}\n\n']);
  expect(n).toBe(5);
});

it("takes at most a two-hundredth of the time, and waits no longer than five seconds", async () => {
  let looks = 0;
  const { response, end } = liveStream(
    () => {
      looks += 1;
      vi.advanceTimersByTime(10);
      return { looks };
    },
    () => {},
  );
  reading(response);
  await vi.advanceTimersByTimeAsync(20_100);
  end();
  // Each took 10 ms, so 2 s are between two.
  expect(looks).toBe(11);
});

it("says why where the state could not be read, and goes on", async () => {
  let n = 0;
  const { response, end } = liveStream(
    () => {
      n += 1;
      if (n === 1) throw new Error("no state");
      return { n };
    },
    () => {},
  );
  const { sent } = reading(response);
  await vi.advanceTimersByTimeAsync(300);
  end();
  expect(sent.slice(1)).toEqual(['data: {"error":"no state"}\n\n', 'data: {"n":2}\n\n']);
});

it("a client that reads nothing gets the newest state, and none of those between", async () => {
  let n = 0;
  const { response, end } = liveStream(
    () => ({ n: (n += 1) }),
    () => {},
  );
  await vi.advanceTimersByTimeAsync(3_000);
  const before = n;
  const { sent } = reading(response);
  await vi.advanceTimersByTimeAsync(600);
  end();
  expect(before).toBe(0);
  expect(sent).toEqual(["retry: 2000\n\n", 'data: {"n":1}\n\n', 'data: {"n":2}\n\n']);
});

it("is kept alive, ends after ten minutes, and reports its end once", async () => {
  let ends = 0;
  const { response, end } = liveStream(
    () => ({ same: true }),
    () => void (ends += 1),
  );
  const { sent } = reading(response);
  await vi.advanceTimersByTimeAsync(16_000);
  expect(sent.at(-1)).toBe(": alive\n\n");
  await vi.advanceTimersByTimeAsync(10 * 60_000);
  expect(ends).toBe(1);
  end();
  expect(ends).toBe(1);
});
