import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: the reply to a command that a client sent again over its next connection counts",
    promises: ["C91"],
    rule: 'if (epoch !== this.#epoch) throw lost(this.address, new Error("the client has reconnected meanwhile"));',
    broken: "",
  },
  {
    name: "redis: why a client of the user is not connected shows its password",
    promises: ["C145"],
    rule: "conceal(error, secretsOf(client));",
    broken: "",
  },
  {
    name: "redis: a preparation over a connection that the client has replaced counts for the next one",
    promises: ["C91"],
    rule: "if (epoch !== this.#epoch || this.#closed !== undefined)",
    broken: "if (this.#closed !== undefined)",
  },
  {
    name: "redis: closing a backend over the user's client waits for no call in flight",
    promises: ["A18"],
    rule: "    await whenDrained(this.queue, this.#settings);\n",
    broken: "",
  },
  {
    name: "redis: the duplicate of a client of the user is in the database of its options",
    promises: ["C331"],
    rule: "...(database === undefined ? undefined : { database, url: undefined }),",
    broken: "",
  },
  {
    name: "redis: a command that a client of the user loses fails with the words of that client",
    promises: ["C373"],
    rule: ".then(checked, named) };",
    broken: ".then(checked) };",
  },
  {
    name: "redis: each backend over a client of the user has listeners of its own",
    promises: ["C459"],
    rule: "if (this.#watchers.size === 0) for (const event of EVENTS) this.#client.on(",
    broken: "for (const event of EVENTS) this.#client.on(",
  },
  {
    name: "redis: listeners stay on a client of the user",
    promises: ["C459"],
    rule: "this.#client.off?.(event, this.#onEvent);",
    broken: "void event;",
  },
];
