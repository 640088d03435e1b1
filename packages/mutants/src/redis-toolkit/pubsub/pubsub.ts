import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "toolkit: a gap in a subscription is not reported",
    promises: ["A46"],
    rule: 'subscriber.use.on("gap", () => queue.gap())',
    broken: 'subscriber.use.on("gap", () => undefined)',
  },
  {
    name: "toolkit: the last listener leaves its connection open",
    promises: ["A45"],
    rule: "(forget() ? use.close() : undefined)",
    broken: "(forget() ? undefined : undefined)",
  },
  {
    name: "pubsub: a subscription waits on when its connection was closed",
    promises: ["C257"],
    rule: 'const forget = onDisconnect(() => queue.close(), "waits");',
    broken: 'const forget = onDisconnect(() => Promise.resolve(), "waits");',
  },
  {
    name: "pubsub: a signal that lives on keeps every subscription that it could have ended",
    promises: ["C257"],
    rule: 'options.signal?.removeEventListener("abort", end);',
    broken: "",
  },
  {
    name: "pubsub: disconnect does not wait for the handler of a listener",
    promises: ["C372"],
    rule: "atMost(LISTENER_GRACE_MS, close(), clock)",
    broken: "atMost(0, close(), clock)",
  },
];
