import { describe, expect, it } from "vitest";
import { windowAt, windowBefore, type WindowKind } from "./windows.ts";

const at = (text: string): number => Date.parse(text);

describe("calendar windows", () => {
  it.each([
    ["hourly", "2026-11-21T09:59:59.999Z", "2026-11-21T09", "2026-11-21T09:00Z", "2026-11-21T10:00Z"],
    ["daily", "2026-11-21T00:00:00.000Z", "2026-11-21", "2026-11-21T00:00Z", "2026-11-22T00:00Z"],
    ["weekly", "2026-11-22T23:59:59.999Z", "2026-W47", "2026-11-16T00:00Z", "2026-11-23T00:00Z"],
    ["weekly", "2026-11-23T00:00:00.000Z", "2026-W48", "2026-11-23T00:00Z", "2026-11-30T00:00Z"],
    // ISO 8601: a week belongs to the year of its Thursday.
    ["weekly", "2027-01-01T12:00:00.000Z", "2026-W53", "2026-12-28T00:00Z", "2027-01-04T00:00Z"],
    ["weekly", "2024-12-30T12:00:00.000Z", "2025-W01", "2024-12-30T00:00Z", "2025-01-06T00:00Z"],
    ["weekly", "1970-01-01T00:00:00.000Z", "1970-W01", "1969-12-29T00:00Z", "1970-01-05T00:00Z"],
    ["monthly", "2024-02-29T12:00:00.000Z", "2024-02", "2024-02-01T00:00Z", "2024-03-01T00:00Z"],
    ["monthly", "2026-12-31T23:59:59.999Z", "2026-12", "2026-12-01T00:00Z", "2027-01-01T00:00Z"],
  ] as const)("%s: %s is in %s", (kind, instant, name, startsAt, endsAt) => {
    expect(windowAt(kind, at(instant))).toEqual({ name, startsAt: at(startsAt), endsAt: at(endsAt) });
  });

  it.each(["hourly", "daily", "weekly", "monthly"] as const)("%s windows follow each other without a gap", (kind) => {
    let window = windowAt(kind, at("2023-12-31T22:30Z"));
    for (let i = 0; i < 800; i += 1) {
      const next = windowBefore(kind, window, -1);
      expect(next.startsAt).toBe(window.endsAt);
      expect(windowBefore(kind, next, 1)).toEqual(window);
      expect(next.name > window.name).toBe(true);
      window = next;
    }
  });

  it("goes back several windows at once", () => {
    const back = (kind: WindowKind, count: number): string =>
      windowBefore(kind, windowAt(kind, at("2026-03-01T00:30Z")), count).name;
    expect([back("hourly", 1), back("daily", 1), back("weekly", 9), back("monthly", 15)]).toEqual([
      "2026-02-28T23",
      "2026-02-28",
      "2025-W52",
      "2024-12",
    ]);
  });
});
