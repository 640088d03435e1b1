import { EventEmitter } from "node:events";
import { keyv } from "@hotset/keyv";
import { describeBackend } from "@hotset/testing/contract-suites";
import { KeyvMemoryAdapter } from "keyv6";

/** A store that reports an outage as many do: as an event, with the answer of a miss. */
class Down extends EventEmitter {
  #fail(): undefined {
    this.emit("error", new Error("connection refused"));
  }
  async get(): Promise<undefined> {
    return this.#fail();
  }
  async getMany(keys: string[]): Promise<undefined[]> {
    this.#fail();
    return keys.map(() => undefined);
  }
  async set(): Promise<undefined> {
    return this.#fail();
  }
  async delete(): Promise<false> {
    this.#fail();
    return false;
  }
}

let map: Map<string, string>;

describeBackend("keyv over a Map", {
  open: (clock) => keyv((map = new Map()), { clock }),
  openPeer: (_, clock) => keyv(map, { clock }),
  promises: ["tags hold"],
  expiry: "clock",
  unreachable: () => keyv(new Down()),
});

describeBackend("keyv over a store of Keyv 6", {
  open: () => keyv(new KeyvMemoryAdapter(new Map())),
  expiry: "server",
});
