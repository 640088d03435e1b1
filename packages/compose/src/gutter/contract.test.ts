import type { Backend } from "@hotset/core";
import { scriptedBackend, type ScriptedBackend, type TestClock } from "@hotset/testing";
import { describeBackend } from "@hotset/testing/contract-suites";
import { gutter } from "./gutter.ts";
import { lentEntry } from "./lent-entry.ts";

const CAPABLE = { leases: true, tagVersions: true } as const;
const sides = new WeakMap<Backend, Readonly<Record<"main" | "small", ScriptedBackend>>>();

function over(clock: TestClock, main: ScriptedBackend, small: ScriptedBackend): Backend {
  const backend = gutter(main, small, { ttl: "1d", clock });
  sides.set(backend, { main, small });
  return backend;
}

const open = (clock: TestClock): Backend =>
  over(
    clock,
    scriptedBackend({ clock, label: "main", coherence: "reported", ...CAPABLE }),
    scriptedBackend({ clock, label: "small", ...CAPABLE }),
  );

describeBackend("a gutter whose main backend answers", {
  open,
  openPeer(backend, clock) {
    const { main, small } = sides.get(backend)!;
    return over(clock, main.peer(), small.peer());
  },
  expiry: "clock",
  promises: ["one load", "deletes hold", "tags hold", "copies follow"],
});

/** Without leases: there the gutter refuses what has no lease, and takes none over. */
async function unreachable(backend: Backend): Promise<Backend> {
  const { main, small } = sides.get(backend)!;
  main.down();
  await backend.read("of the main backend");
  const { markStale: _markStale, coherence: _coherence, leases: _leases, connect: _connect, ...rest } = backend;
  const result: Backend = {
    ...rest,
    tagVersions: { ...backend.tagVersions!, renew: small.tagVersions!.renew },
    // As others have loaded it.
    write: (key, entry) => small.write(key, lentEntry(entry, 86_400_000, 0)),
    remove: small.remove,
  };
  sides.set(result, { main, small });
  return result;
}

describeBackend("a gutter whose main backend is unreachable", {
  open: (clock) => unreachable(open(clock)),
  openPeer(backend, clock) {
    const { main, small } = sides.get(backend)!;
    return unreachable(over(clock, main.peer(), small.peer()));
  },
  expiry: "clock",
});
