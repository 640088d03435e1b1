import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Backend, Coherence, CoherenceListener, Format } from "@hotset/core";
import { fromSwap, type SwapRecord, type SwapStore } from "@hotset/core/stores";
import { msgpack } from "@hotset/formats/msgpack";
import { forkSwapStore, scriptedBackend, type ScriptedBackend, type TestClock } from "@hotset/testing";
import {
  describeBackend,
  describeFormat,
  describeSwapStore,
  type DescribeBackendOptions,
} from "@hotset/testing/contract-suites";
import { afterAll } from "vitest";
import { unlockedStore } from "./unlocked-store.ts";

/** A contract suite over a scripted backend that `plant` gave one mistake, and `plantPeer` those of other processes. */
function describePlanted(
  name: string,
  plant: (backend: ScriptedBackend) => Partial<Backend>,
  plantPeer: (backend: ScriptedBackend) => Partial<Backend> = () => ({}),
): void {
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
    openPeer(backend) {
      const sound = scripted.get(backend)!.peer();
      const peer = { ...sound, ...plantPeer(sound) };
      scripted.set(peer, sound);
      return peer;
    },
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

/** Steps of another process of which this one receives no report, as if they were missing in a log. */
function describeUnreported(
  name: string,
  silently: (backend: ScriptedBackend, quiet: Quiet) => Partial<Backend>,
): void {
  const now = { isQuiet: false };
  const quiet: Quiet = async (step) => {
    now.isQuiet = true;
    try {
      return await step();
    } finally {
      now.isQuiet = false;
    }
  };
  describePlanted(
    name,
    (backend) => ({ coherence: coherenceUnless(backend, () => now.isQuiet) }),
    (backend) => silently(backend, quiet),
  );
}

type Quiet = <T>(step: () => Promise<T>) => Promise<T>;

function coherenceUnless(backend: ScriptedBackend, isQuiet: () => boolean): Coherence {
  const coherence = backend.coherence as Coherence;
  const partly = (listener: CoherenceListener): CoherenceListener =>
    new Proxy(listener, {
      get(target, name) {
        const member: unknown = Reflect.get(target, name);
        if (typeof member !== "function") return member;
        if (isQuiet() && /changed$/i.test(String(name))) return () => undefined;
        return member.bind(target);
      },
    });
  return { ...coherence, attach: (listener) => coherence.attach(partly(listener)) };
}

describeUnreported("a touch that is not reported", (backend, quiet) => ({
  leases: { ...backend.leases!, touch: (...given) => quiet(() => backend.leases!.touch(...given)) },
}));
describeUnreported("a pin that issues a version and is not reported", (backend, quiet) => ({
  tagVersions: { ...backend.tagVersions!, pin: (tags) => quiet(() => backend.tagVersions!.pin(tags)) },
}));
describeUnreported("a release that is not reported", (backend, quiet) => ({
  leases: { ...backend.leases!, release: (...given) => quiet(() => backend.leases!.release(...given)) },
}));

/** Each change names the version of the first writer: as a log in which the later one came first. */
const first = new Map<string, string>();
describePlanted(
  "a log whose order is not that of the changes",
  (backend) => {
    first.clear();
    const coherence = backend.coherence as Coherence;
    const misled = (listener: CoherenceListener): CoherenceListener =>
      new Proxy(listener, {
        get(target, name) {
          const member: unknown = Reflect.get(target, name);
          if (typeof member !== "function") return member;
          if (name !== "changed") return member.bind(target);
          return (keys: readonly string[]) =>
            target.changed(keys, new Map([...first].filter(([key]) => keys.includes(key))));
        },
      });
    return { coherence: { ...coherence, attach: (listener) => coherence.attach(misled(listener)) } };
  },
  (backend) => ({
    write(key, entry) {
      if (entry.version !== undefined && !first.has(key)) first.set(key, entry.version);
      return backend.write(key, entry);
    },
  }),
);

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

type SwapFault =
  | "comparesFirst"
  | "deletesAnything"
  | "answersRefusals"
  | "reusesVersions"
  | "roundsLivesDown"
  | "mixesUpMany"
  | "lags";

/** A store over a way to a server and back: each call takes a turn there, and one to return. */
class PlantedStore implements SwapStore<string> {
  readonly #fault: SwapFault | undefined;
  readonly #records: Map<string, SwapRecord<string> & { readonly endsAt: number }>;
  readonly #counter: { last: number };
  /** What a replica that is behind shows. */
  readonly #seen = new Map<string, SwapRecord<string> | undefined>();

  constructor(fault: SwapFault | undefined, peer?: PlantedStore) {
    this.#fault = fault;
    this.#records = peer === undefined ? new Map() : peer.#records;
    this.#counter = peer === undefined ? { last: 0 } : peer.#counter;
  }

  async get(name: string): Promise<SwapRecord<string> | undefined> {
    await trip();
    const found = this.#there(name);
    const shown = this.#fault === "lags" && this.#seen.has(name) ? this.#seen.get(name) : found;
    this.#seen.set(name, found);
    await trip();
    return shown && { bytes: shown.bytes.slice(), version: shown.version };
  }

  async getMany(names: readonly string[]): Promise<readonly (SwapRecord<string> | undefined)[]> {
    const found = await Promise.all(names.map((name) => this.get(name)));
    return this.#fault === "mixesUpMany" ? found.filter((record) => record !== undefined) : found;
  }

  async swap(
    name: string,
    given: Uint8Array,
    expected: string | undefined,
    ttlMs: number,
  ): Promise<string | undefined> {
    const bytes = given.slice();
    await trip();
    if (this.#there(name)?.version !== expected) {
      await trip();
      return this.#fault === "answersRefusals" && expected !== undefined ? this.#next(bytes) : undefined;
    }
    if (this.#fault === "comparesFirst" && expected !== undefined) await trip();
    const version = this.#next(bytes);
    const lifeMs = this.#fault === "roundsLivesDown" ? Math.floor(ttlMs / 1_000) * 1_000 : ttlMs;
    this.#records.set(name, { bytes, version, endsAt: performance.now() + lifeMs });
    await trip();
    return version;
  }

  async delete(name: string, expected: string): Promise<boolean> {
    await trip();
    const found = this.#there(name);
    const isIt = this.#fault === "deletesAnything" ? found !== undefined : found?.version === expected;
    if (isIt) this.#records.delete(name);
    await trip();
    return isIt;
  }

  close(): void {}

  #there(name: string): SwapRecord<string> | undefined {
    const found = this.#records.get(name);
    return found !== undefined && found.endsAt > performance.now() ? found : undefined;
  }

  #next(bytes: Uint8Array): string {
    this.#counter.last += 1;
    return this.#fault === "reusesVersions" ? `v${bytes.length % 7}` : `v${this.#counter.last}`;
  }
}

const trip = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

function describePlantedStore(name: string, fault?: SwapFault): void {
  let store: PlantedStore;
  describeSwapStore(name, {
    open: () => (store = new PlantedStore(fault)),
    openPeer: () => new PlantedStore(fault, store),
  });
  const stores = new WeakMap<Backend, PlantedStore>();
  // With a clock of the suite, entries end by that clock before the store can drop them.
  const expiry = fault === "roundsLivesDown" ? "server" : "clock";
  const opened = (of: PlantedStore, clock: TestClock): Backend => {
    const backend = fromSwap(of, { label: "planted", ...(expiry === "clock" && { clock }) });
    stores.set(backend, of);
    return backend;
  };
  describeBackend(name, {
    open: (clock) => opened(new PlantedStore(fault), clock),
    openPeer: (backend, clock) => opened(new PlantedStore(fault, stores.get(backend)), clock),
    expiry,
    promises: ["one load", "deletes hold", "tags hold"],
  });
}

describePlantedStore("a right store");
describePlantedStore("a swap that compares, and sets in a second step", "comparesFirst");
describePlantedStore("a delete without its condition", "deletesAnything");
describePlantedStore("a refused swap that answers with a version", "answersRefusals");
describePlantedStore("versions that come back", "reusesVersions");
describePlantedStore("a life rounded down", "roundsLivesDown");
describePlantedStore("a read from a replica that is behind", "lags");

let mixed: PlantedStore;
describeSwapStore("a getMany that leaves out what is not there", {
  open: () => (mixed = new PlantedStore("mixesUpMany")),
  openPeer: () => new PlantedStore("mixesUpMany", mixed),
});

const folder = mkdtempSync(join(tmpdir(), "hotset-planted-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;
describeSwapStore("a swap in two statements of a synchronous driver", {
  open: () => unlockedStore(join(folder, `${(files += 1)}.db`)),
  openPeer: () => unlockedStore(join(folder, `${files}.db`)),
  openElsewhere: () =>
    forkSwapStore<string>(new URL("unlocked-store.ts", import.meta.url), {
      args: [join(folder, `${files}.db`)],
      execArgv: ["--conditions=@hotset/source"],
    }),
});
