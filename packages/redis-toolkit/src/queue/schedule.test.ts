import { expect, it } from "vitest";
import { firstAt, nextAt, resolveSchedule } from "./schedule.ts";

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

it("a schedule starts immediately, at its start, or after one interval", async () => {
  const hourly = await resolveSchedule({ every: "1h" });
  expect(await firstAt(hourly, 5_000)).toBe(3_605_000);
  expect(await firstAt(hourly, 5_000, { immediately: true })).toBe(5_000);
  // The instants of an interval keep their distance to its start, however late it is set.
  const fromNoon = await resolveSchedule({ every: "1h", start: new Date("2026-11-21T12:00:00Z") });
  expect(await firstAt(fromNoon, at("2026-11-20T12:00:00Z"))).toBe(at("2026-11-21T12:00:00Z"));
  expect(await firstAt(fromNoon, at("2026-11-21T12:00:00Z"))).toBe(at("2026-11-21T12:00:00Z"));
  expect(await firstAt(fromNoon, at("2026-11-21T14:10:00Z"))).toBe(at("2026-11-21T15:00:00Z"));
  const nightly = await resolveSchedule({ cron: "0 3 * * *", start: new Date("2026-11-21T03:00:00Z") });
  expect(await firstAt(nightly, at("2026-11-01T00:00:00Z"))).toBe(at("2026-11-21T03:00:00Z"));
  expect(await firstAt(nightly, at("2026-11-21T03:00:00Z"))).toBe(at("2026-11-21T03:00:00Z"));
  expect(await firstAt(nightly, at("2026-11-21T03:00:01Z"))).toBe(at("2026-11-22T03:00:00Z"));
});

it("a schedule has no instant after its end, which may be one", async () => {
  const end = new Date("2026-11-22T03:00:00Z");
  const nightly = await resolveSchedule({ cron: "0 3 * * *", end });
  expect(await nextAt(nightly, 0, at("2026-11-21T12:00:00Z"))).toBe(end.getTime());
  expect(await nextAt(nightly, 0, end.getTime())).toBeUndefined();
  const hourly = await resolveSchedule({ every: "1h", end });
  expect(await nextAt(hourly, at("2026-11-22T02:00:00Z"), at("2026-11-22T02:00:00Z"))).toBe(end.getTime());
  expect(await nextAt(hourly, end.getTime(), end.getTime())).toBeUndefined();
  expect(await firstAt(hourly, end.getTime() + 1, { immediately: true })).toBeUndefined();
  const once = await resolveSchedule({ every: "1h", start: end, end });
  expect(await firstAt(once, at("2026-11-21T00:00:00Z"))).toBe(end.getTime());
});

it("bad bounds of a schedule are refused, by their names", async () => {
  const start = new Date(1);
  for (const [schedule, message] of [
    [{ every: "1h", immediately: true, start }, "repeat: give immediately or start, not both"],
    [{ every: "1h", immediately: "yes" }, "repeat: immediately must be true or false"],
    [{ every: "1h", start: 1_800_000_000 }, "repeat: start must be a Date after 1970, got 1800000000"],
    [{ every: "1h", end: new Date(Number.NaN) }, "repeat: end must be a Date after 1970, got an invalid one"],
    [{ every: "1h", end: new Date(0) }, "repeat: end must be a Date after 1970, got an earlier one"],
    [{ every: "1h", start: new Date(2), end: start }, "repeat: end must not be before start"],
    [{ every: "1h", limit: 0 }, "repeat: limit must be a whole number from 1"],
    [{ every: "1h", until: start }, 'unknown option "until"'],
    [{ cron: "x", end: start }, "cron must be five fields"],
    [{ every: "1h", cron: "* * * * *" }, "give every, or cron"],
  ] as const)
    await expect(resolveSchedule(schedule as never), message).rejects.toThrow(message);
});
