import { expect, it } from "vitest";
import { nextAt } from "./repeats.ts";

const at = (text: string): number => Date.parse(text);

it("C232: instants of an interval keep their distance, and missed ones are left out", async () => {
  const schedule = { everyMs: 1_000 };
  expect(await nextAt(schedule, 5_000, 5_000)).toBe(6_000);
  expect(await nextAt(schedule, 5_000, 5_999)).toBe(6_000);
  expect(await nextAt(schedule, 5_000, 6_000)).toBe(7_000);
  expect(await nextAt(schedule, 5_000, 9_500)).toBe(10_000);
  // The server's clock was set back.
  expect(await nextAt(schedule, 5_000, 4_000)).toBe(6_000);
});

it("C232: a schedule of cron follows its time zone, through the change to summer time", async () => {
  const nightly = { cron: "30 2 * * *", timeZone: "Europe/Berlin" };
  expect(await nextAt(nightly, 0, at("2026-11-21T00:00:00Z"))).toBe(at("2026-11-21T01:30:00Z"));
  expect(await nextAt(nightly, 0, at("2026-11-21T01:30:00Z"))).toBe(at("2026-11-22T01:30:00Z"));
  expect(await nextAt(nightly, 0, at("2026-07-01T12:00:00Z"))).toBe(at("2026-07-02T00:30:00Z"));
  const seconds = { cron: "*/10 * * * * *", timeZone: "UTC" };
  expect(await nextAt(seconds, 0, at("2026-11-21T00:00:01Z"))).toBe(at("2026-11-21T00:00:10Z"));
});

it("C232: a schedule that cannot be read, or never comes true, is refused", async () => {
  await expect(nextAt({ cron: "x", timeZone: "UTC" }, 0, 0)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  await expect(nextAt({ cron: "* * * * *", timeZone: "Nowhere" }, 0, 0)).rejects.toThrow("in a time zone that exists");
  await expect(nextAt({ cron: "0 0 31 2 *", timeZone: "UTC" }, 0, 0)).rejects.toThrow("never comes true");
});
