import type { Backend, Coherence, CoherenceListener, Format } from "@hotset/core";
import { msgpack } from "@hotset/formats/msgpack";
import { scriptedBackend, type ScriptedBackend, type TestClock } from "@hotset/testing";
import { describeBackend, describeFormat, type DescribeBackendOptions } from "@hotset/testing/contract-suites";

/** A contract suite over a scripted backend that `plant` gave one mistake. */
function describePlanted(name: string, plant: (backend: ScriptedBackend) => Partial<Backend>): void {
  const scripted = new WeakMap<Backend, ScriptedBackend>();
  const open = (clock: TestClock): Backend => {
    const sound = scriptedBackend({
      clock,
      leases: true,
      tagVersions: true,
      coherence: "reported",
      maxEntryBytes: 10_000,
    });
    const backend = { ...sound, ...plant(sound) };
    scripted.set(backend, sound);
    return backend;
  };
  const options: DescribeBackendOptions = {
    open,
    openPeer: (backend) => scripted.get(backend)!.peer(),
    cut(backend) {
      scripted.get(backend)!.link.lose();
      scripted.get(backend)!.link.heal();
    },
    expiry: "clock",
    promises: ["one load", "deletes hold", "tags hold", "copies follow"],
  };
  describeBackend(name, options);
}

describePlanted("no mistake", () => ({}));

/** The reports of `backend`, without `silent`. */
function coherenceWithout(backend: ScriptedBackend, silent: keyof CoherenceListener): Coherence {
  const coherence = backend.coherence as Coherence;
  const partly = (listener: CoherenceListener): CoherenceListener =>
    new Proxy(listener, {
      get(target, name) {
        if (name === silent) return () => undefined;
        const member: unknown = Reflect.get(target, name);
        return typeof member === "function" ? member.bind(target) : member;
      },
    });
  return { ...coherence, attach: (listener) => coherence.attach(partly(listener)) };
}

describePlanted("no lost", (backend) => ({ coherence: coherenceWithout(backend, "lost") }));

const unbounded = (): Format => {
  const format = msgpack();
  return {
    id: "unbounded",
    encode: (value, maxBytes) => format.encode(value, maxBytes),
    decode: (bytes) => format.decode(bytes, 2 ** 30),
  };
};
describeFormat("whose decode takes any amount of memory", {
  open: unbounded,
  keeps: ["date", "map", "set", "bigint", "bytes", "nan"],
});
