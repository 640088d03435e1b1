import { describe, expect, it } from "vitest";
import { requireNode } from "./node-version.ts";

const WORKER = { userAgent: "Cloudflare-Workers" };

describe("requireNode", () => {
  it.each(["v22.15.0", "v22.22.3", "v24.0.0", "v30.1.2"])("accepts %s", (version) => {
    expect(() => requireNode({ process: { version } })).not.toThrow();
  });

  it.each(["v20.20.2", "v22.14.9", "v18.0.0"])("refuses %s with one sentence", (version) => {
    const message = `hotset needs Node 22.15 or later; this is Node ${version.slice(1)}`;
    expect(() => requireNode({ process: { version } })).toThrow(message);
    expect(() => requireNode({ process: { version }, navigator: { userAgent: `Node.js/${version}` } })).toThrow(
      message,
    );
  });

  it.each([
    ["in a worker with the process of wrangler", { process: { version: "v22.14.0" }, navigator: WORKER }],
    ["of a process without a version", { process: {} }],
    ["where there is no process", {}],
  ])("asks for no version %s", (_, runtime) => {
    expect(() => requireNode(runtime)).not.toThrow();
  });
});
