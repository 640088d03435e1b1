import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "ioredis: a client that sends commands again is taken",
    promises: ["C241"],
    rule: "options.autoResendUnfulfilledCommands !== false || options.enableOfflineQueue !== false",
    broken: "options.enableOfflineQueue !== false",
  },
  {
    name: "ioredis: an error shows the arguments of its command",
    promises: ["C145"],
    rule: "reject(new Error(error.message));",
    broken: "reject(error);",
  },
  {
    name: "ioredis: a call in flight waits for its deadline when the connection is lost",
    promises: ["A15"],
    rule: 'for (const fail of [...this.#inFlight]) fail(new Error("the connection was closed"));',
    broken: "void 0;",
  },
  {
    name: "ioredis: an error does not name the server to which its client leads",
    promises: ["C373"],
    rule: "socket: { host, port, path } }",
    broken: "socket: {} }",
  },
];
