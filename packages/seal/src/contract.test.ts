import { scriptedBackend, type ScriptedBackendOptions } from "@hotset/testing";
import { describeBackend } from "@hotset/testing/contract-suites";
import { aesGcm, sealed } from "./index.ts";

const seal = aesGcm({ keys: [{ id: "k", key: Buffer.alloc(32, 1) }] });

const suite = (name: string, options: Omit<ScriptedBackendOptions, "clock">): void =>
  describeBackend(name, {
    open: (clock) => sealed(scriptedBackend({ clock, ...options }), seal, { clock }),
    expiry: "clock",
  });

suite("sealed", { leases: true, tagVersions: true, coherence: "reported" });
suite("sealed, with four methods", { markStale: false, batch: false, coherence: "none" });
