import { describe, expect, it } from "vitest";
import { requireNode } from "./node-version.ts";

describe("requireNode", () => {
  it.each(["v22.15.0", "v22.22.3", "v24.0.0", "v30.1.2"])("accepts %s", (version) => {
    expect(() => requireNode(version)).not.toThrow();
  });

  it.each(["v20.20.2", "v22.14.9", "v18.0.0"])("refuses %s with one sentence", (version) => {
    expect(() => requireNode(version)).toThrow(`hotset needs Node 22.15 or later; this is Node ${version.slice(1)}`);
  });
});
