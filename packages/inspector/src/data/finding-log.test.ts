import { expect, it } from "vitest";
import { FindingLog } from "./finding-log.ts";
import type { Finding } from "./pages.ts";

const finding = (weight: number, id = "stampede shop a"): Finding => ({
  ...{
    rule: "stampede",
    id,
    level: "warning",
    text: `${weight} callers`,
    remedy: "",
    page: "stampedes",
    by: [],
    weight,
  },
});

const begunBy = (log: FindingLog, found: readonly Finding[], now: number): readonly string[] => {
  log.update(found, now);
  return log.takeBegun().map(({ id }) => id);
};

it("gives what has begun once, also if several updates came before it was asked", () => {
  const log = new FindingLog();
  log.update([finding(20)], 1_000);
  log.update([finding(20)], 1_250);
  expect([log.takeBegun().length, log.takeBegun().length]).toEqual([1, 0]);
});

it("has the beginning, the end, the height and the count of a finding, for an hour", () => {
  const log = new FindingLog();
  expect(begunBy(log, [finding(20)], 1_000).length).toBe(1);
  expect(begunBy(log, [finding(150)], 3_000)).toEqual([]);
  expect(begunBy(log, [finding(40)], 5_000)).toEqual([]);
  expect([log.past, log.since("stampede shop a")]).toEqual([[], 1_000]);
  log.update([], 7_000);
  expect(log.past).toEqual([{ ...finding(150), since: 1_000, until: 5_000, times: 1 }]);
  // A short gap is none.
  expect(begunBy(log, [finding(30)], 30_000)).toEqual([]);
  expect(log.past).toEqual([]);
  log.update([], 32_000);
  expect(begunBy(log, [finding(25), finding(1, "other")], 100_000)).toEqual(["stampede shop a", "other"]);
  log.update([finding(1, "other")], 102_000);
  expect(log.past).toEqual([{ ...finding(25), since: 100_000, until: 100_000, times: 2 }]);
  log.update([], 3_800_000);
  expect(log.past).toEqual([]);
});

it("gives a finding again when it begins in a further process, with the name of that one", () => {
  const log = new FindingLog();
  const on = (...by: readonly string[]): Finding => ({ ...finding(1), by });
  const begun = (...found: readonly Finding[]): readonly (readonly string[])[] => {
    log.update(found, 1_000);
    return log.takeBegun().map(({ by }) => by);
  };
  expect([begun(on("web-1")), begun(on("web-1", "web-2")), begun(on("web-2")), begun(on("web-1"))]).toEqual([
    [["web-1"]],
    [["web-2"]],
    [],
    [],
  ]);
  // Its own, which had no name yet.
  expect([begun({ ...on(), id: "b" }), begun({ ...on("web-1"), id: "b" })]).toEqual([[[]], []]);
});

it("remembers so many at most, the newest", () => {
  const log = new FindingLog();
  for (let i = 0; i < 500; i += 1) log.update([finding(1, `id ${i}`)], i);
  log.update([], 600);
  expect([log.past.length, log.past[0]!.id]).toEqual([200, "id 499"]);
});
