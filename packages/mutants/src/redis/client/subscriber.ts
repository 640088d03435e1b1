import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: a subscriber that reconnects subscribes to nothing",
    promises: ["C222"],
    rule: "await Promise.all(Array.from(this.#subscriptions.values(), (subscription) => start(client, subscription)));",
    broken: "",
  },
  {
    name: "redis: a subscriber has no heartbeat",
    promises: ["C222"],
    rule: 'beat.exchange(queue.client, ["PING"]);',
    broken: "",
  },
  {
    name: "redis: a gap in subscriptions is not reported",
    promises: ["C222"],
    rule: "for (const listener of this.#listeners.gap) deliver(listener);",
    broken: "",
  },
  {
    name: "redis: a subscription that begins while the former one of its channel ends is never sent",
    promises: ["C408"],
    rule: "return client.UNSUBSCRIBE(name, dispatch, AS_BUFFERS);",
    broken: "return (client.UNSUBSCRIBE as unknown as (channel: string) => Promise<void>)(name);",
  },
  {
    name: "listeners: one of a gap that throws breaks the subscriber",
    promises: ["C357"],
    rule: "deliver(listener);",
    broken: "listener();",
  },
];
