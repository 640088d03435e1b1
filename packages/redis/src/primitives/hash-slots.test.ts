import { describe, expect, it } from "vitest";
import { parseRedirection, parseSlots, slotOf } from "./hash-slots.ts";

describe("the slot of a key", () => {
  it.each([
    ["123456789", 12_739],
    ["", 0],
    ["foo", 12_182],
    ["{foo}bar", 12_182],
    ["a{foo}bar", 12_182],
    ["{}foo", 9_500],
    ["{foo", 13_308],
  ])("%j is %d", (key, slot) => {
    expect(slotOf(key)).toBe(slot);
  });
});

const ASKED = { host: "10.0.0.1", port: 7000 };

describe("what a node reports of others", () => {
  it("CLUSTER SLOTS names ranges, primaries and replicas; its own name it may leave out", () => {
    const node = (host: string | null, port: number) => [
      host === null ? null : Buffer.from(host),
      port,
      Buffer.from("id"),
    ];
    expect(
      parseSlots(
        [
          [0, 5460, node("10.0.0.2", 7001), node("10.0.0.3", 7002)],
          [5461, 16_383, node("", 7000), node(null, 7003), node("?", 7004)],
        ],
        ASKED,
      ),
    ).toEqual([
      { from: 0, to: 5460, primary: { host: "10.0.0.2", port: 7001 }, replicas: [{ host: "10.0.0.3", port: 7002 }] },
      {
        from: 5461,
        to: 16_383,
        primary: { host: "10.0.0.1", port: 7000 },
        replicas: [
          { host: "10.0.0.1", port: 7003 },
          { host: "10.0.0.1", port: 7004 },
        ],
      },
    ]);
    expect(() => parseSlots("OK", ASKED)).toThrow(TypeError);
    expect(() => parseSlots([], ASKED), "a node that has not joined yet").toThrow("it has not joined a cluster yet");
  });

  it.each([
    ["MOVED 3999 127.0.0.1:6381", { kind: "MOVED", slot: 3999, host: "127.0.0.1", port: 6381 }],
    ["ASK 3999 ::1:6381", { kind: "ASK", slot: 3999, host: "::1", port: 6381 }],
    ["MOVED 3999 :6381", { kind: "MOVED", slot: 3999, host: "10.0.0.1", port: 6381 }],
    ["MOVED 3999 ?:6381", { kind: "MOVED", slot: 3999, host: "10.0.0.1", port: 6381 }],
    ["MOVED 3999", undefined],
    ["TRYAGAIN Multiple keys request during rehashing of slot", undefined],
  ])("%j", (message, expected) => {
    expect(parseRedirection(message, ASKED)).toEqual(expected);
  });
});
