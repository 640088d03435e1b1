import { scheduler } from "node:timers/promises";
import type { Backend, Coherence, CoherenceListener, Format } from "@hotset/core";
import { describeBackend, describeFormat, type DescribeBackendOptions } from "@hotset/testing/contract-suites";
import { scriptedBackend, type ScriptedBackend, type TestClock } from "@hotset/testing";
import { msgpack } from "@hotset/msgpack";

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

/** The reports of `backend`, without those for which `isSilent` at their time. */
function coherenceWithout(backend: ScriptedBackend, isSilent: (report: keyof CoherenceListener) => boolean): Coherence {
  const coherence = backend.coherence as Coherence;
  const partly = (listener: CoherenceListener): CoherenceListener =>
    new Proxy(listener, {
      get(target, name) {
        if (isSilent(name as keyof CoherenceListener)) return () => undefined;
        const member: unknown = Reflect.get(target, name);
        return typeof member === "function" ? member.bind(target) : member;
      },
    });
  return { ...coherence, attach: (listener) => coherence.attach(partly(listener)) };
}

describePlanted("no lost", (backend) => ({ coherence: coherenceWithout(backend, (report) => report === "lost") }));

describePlanted("a confirm that watches in a second step", (backend) => {
  let isUnwatched = false;
  return {
    coherence: coherenceWithout(backend, (report) => report === "changed" && isUnwatched),
    leases: {
      ...backend.leases!,
      async confirm(key) {
        const version = (await backend.read(key))?.version ?? "";
        isUnwatched = true;
        await scheduler.wait(0);
        isUnwatched = false;
        await backend.leases!.confirm(key);
        return version;
      },
    },
  };
});

describePlanted("no coherence, which it promises", () => ({ coherence: undefined as never }));

describePlanted("a maxEntryBytes that it does not take", (backend) => ({
  async write(key, entry) {
    if (entry.data.byteLength >= 10_000) throw new RangeError("the entry is too large");
    await backend.write(key, entry);
  },
}));

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

/** Lists of bytes. */
const OF_ONE_TYPE: Format = {
  id: "bytes",
  encode(value) {
    if (!(value instanceof Uint8Array)) throw new TypeError("it writes lists of bytes only");
    return Uint8Array.from(value);
  },
  decode: (bytes) => Uint8Array.from(bytes),
};
const BYTES = { values: [Uint8Array.of(1, 2, 3), new Uint8Array(300).fill(7)] };
describeFormat("of one type, without a mistake", { open: () => OF_ONE_TYPE, ...BYTES });
describeFormat("of one type, which gives its bytes away", {
  open: () => ({ ...OF_ONE_TYPE, decode: (bytes) => new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength) }),
  ...BYTES,
});
describeFormat("of one type, which does not read what it wrote", {
  open: () => ({
    ...OF_ONE_TYPE,
    decode(bytes, maxBytes = Infinity) {
      if (bytes.byteLength * 2 > maxBytes) throw new RangeError("too much");
      return Uint8Array.from(bytes);
    },
  }),
  ...BYTES,
});
