import { describe, expect, it } from "vitest";
import { Guard } from "./guards.ts";

describe("a guard", () => {
  it.each<[Parameters<Guard["fence"]>[0][], string]>([
    [["set", "delete"], "set"],
    [["delete", "stale"], "delete"],
    [["stale", "delete"], "delete"],
    [["stale", "lease"], "stale"],
    [["lease", "tags"], "lease"],
  ])("fenced by %j stays fenced by %s, and is tainted", (reasons, expected) => {
    const guard = new Guard();
    for (const by of reasons) guard.fence(by);
    expect([guard.fencedBy, guard.isTainted]).toEqual([expected, true]);
  });

  it("that lost its lease keeps an earlier reason, and is not tainted by it", () => {
    const [fresh, fenced] = [new Guard(), new Guard()];
    fresh.lose();
    fenced.fence("delete");
    fenced.lose();
    expect([fresh.fencedBy, fresh.isTainted, fenced.fencedBy]).toEqual(["lease", false, "delete"]);
  });

  it("that is sent again is not tainted by earlier changes, and stays fenced", () => {
    const guard = new Guard();
    guard.begin({ until: 1 });
    guard.fence("set");
    guard.resend({ until: 2 });
    expect([guard.epoch, guard.isTainted, guard.fencedBy]).toEqual([{ until: 2 }, false, "set"]);
  });

  it("knows its place in the order in which guards began", () => {
    const [first, second] = [new Guard(), new Guard()];
    expect(second.serial).toBeGreaterThan(first.serial);
  });
});
