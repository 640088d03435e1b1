import type { Backend } from "@hotset/core";
import { scriptedBackend, type ScriptedBackend, type ScriptedBackendOptions, type TestClock } from "@hotset/testing";
import { describeBackend } from "@hotset/testing/contract-suites";
import { compose, type ComposeOptions } from "./index.ts";

const READS = ["sequential", "race"] as const;

type Far = Omit<ScriptedBackendOptions, "clock">;

/** A composition that copies every entry, for longer than a test takes. */
function open(clock: TestClock, far: ScriptedBackend, read: ComposeOptions["read"]): Backend {
  const near = scriptedBackend({ clock, label: "near" });
  const backend = compose(near, far, { nearTtl: "1d", read, clock });
  return {
    ...backend,
    async read(key) {
      const found = await backend.read(key);
      found?.onValid?.();
      return found;
    },
  };
}

const suite = (name: string, read: ComposeOptions["read"], far: Far): void =>
  describeBackend(`${name}, read ${read}`, {
    open: (clock) => open(clock, scriptedBackend({ clock, label: "far", ...far }), read),
    expiry: "clock",
  });

for (const read of READS) {
  suite("a composition", read, { leases: true, tagVersions: true, coherence: "reported" });
  suite("a composition of what has four methods", read, { markStale: false, batch: false, coherence: "none" });
}
