import { describe, expect, it } from "vitest";
import { judgeMismatch, type Evidence } from "./verdict.ts";

const NOW = 1_000_000;
const WRITTEN = NOW - 60_000;
const NOTHING: Evidence = {
  ...{ now: NOW, writtenAt: WRITTEN, changedAt: undefined, acceptsMs: undefined, ownChangeAt: undefined },
  ...{ otherChange: undefined, isCopyBehind: false, isSharedKey: false },
};
const other = (at: number): Evidence["otherChange"] => ({ namespace: ["catalog"], at });

describe("C742: a mismatch is judged", () => {
  it.each<readonly [string, Partial<Evidence>, object]>([
    ["nothing", {}, { verdict: "unclear" }],
    ["an age up to what is accepted", { acceptsMs: 60_000 }, { verdict: "drift" }],
    ["an age above it", { acceptsMs: 59_999 }, { verdict: "unclear" }],
    ["no age", { writtenAt: undefined, acceptsMs: 60_000 }, { verdict: "unclear" }],
    ["a change since the load", { changedAt: WRITTEN }, { verdict: "drift", changedMs: 60_000 }],
    ["one within a second before", { changedAt: WRITTEN - 1_000 }, { verdict: "drift", changedMs: 61_000 }],
    ["one before that", { changedAt: WRITTEN - 1_001 }, { verdict: "wrong", why: "loaded-wrong", changedMs: 61_001 }],
    [
      "one within what is accepted",
      { changedAt: NOW - 5_000, acceptsMs: 5_000 },
      { verdict: "drift", changedMs: 5_000 },
    ],
    [
      "one longer ago",
      { changedAt: NOW - 5_001, acceptsMs: 5_000 },
      { verdict: "wrong", why: "not-invalidated", changedMs: 5_001 },
    ],
    ["one in the future of a clock", { changedAt: NOW + 5_000 }, { verdict: "drift", changedMs: 0 }],
    ["a delete within a second before", { ownChangeAt: WRITTEN - 1_000 }, { verdict: "wrong", why: "early-delete" }],
    ["a delete before that", { ownChangeAt: WRITTEN - 1_001 }, { verdict: "unclear" }],
    ["a delete since", { ownChangeAt: WRITTEN + 1 }, { verdict: "unclear" }],
    [
      "a delete after the change",
      { ownChangeAt: WRITTEN - 500, changedAt: WRITTEN - 600 },
      { verdict: "drift", changedMs: 60_600 },
    ],
    [
      "an invalidation elsewhere since",
      { otherChange: other(WRITTEN + 1) },
      { verdict: "wrong", why: "other-namespace", otherNamespace: ["catalog"] },
    ],
    ["an invalidation elsewhere before", { otherChange: other(WRITTEN) }, { verdict: "unclear" }],
    ["a copy that is behind", { isCopyBehind: true, acceptsMs: 60_000 }, { verdict: "wrong", why: "copy-behind" }],
    ["two loaders", { isSharedKey: true, acceptsMs: 60_000 }, { verdict: "wrong", why: "shared-key" }],
  ])("by %s", (_name, evidence, judged) => {
    expect(judgeMismatch({ ...NOTHING, ...evidence })).toEqual(judged);
  });
});
