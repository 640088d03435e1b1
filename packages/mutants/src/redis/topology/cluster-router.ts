import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: redirections are followed without end",
    promises: ["A14"],
    rule: "const MAX_REDIRECTIONS = 8;",
    broken: "const MAX_REDIRECTIONS = 800;",
  },
  {
    name: "redis: a promoted replica goes on answering reads as a replica",
    promises: ["A44"],
    rule: 'node.link.distrust(new Error("it is a primary now"));',
    broken: "undefined;",
  },
  {
    name: "redis: a redirection is followed to where it says",
    promises: ["C147"],
    rule: "namedAddress(redirection, redirection.kind, this.#settings.resolveAddress)",
    broken: "redirection",
  },
  {
    name: "redis: replicas answer for versions although their primary is reached",
    promises: ["C168"],
    rule: 'primary.link.state !== "down" || ',
    broken: "",
  },
  {
    name: "redis: a replica that cannot answer is not passed over",
    promises: ["C170"],
    rule: "if (reader === shard.primary || !isUnfit(error)) throw error;",
    broken: "throw error;",
  },
  {
    name: "cluster: a primary that is replaced is reported as one that refuses",
    promises: ["C366"],
    rule: "new BackendUnavailableError(`${part} is not",
    broken: "new Error(`${part} is not",
  },
  {
    name: "cluster: a command fails whose node leaves the map of slots before it is sent",
    promises: ["C411"],
    rule: 'if (!isUnsent || link.state !== "closed" || this.#closing.signal.aborted) throw error;',
    broken: "if (isUnsent || !isUnsent) throw error;",
  },
  {
    name: "cluster: a primary that became a replica answers nothing over the connection that it had",
    promises: ["C168"],
    rule: 'if (named.has(node) && node.link.state !== "idle") send(node.link, COMMAND, ["READONLY"]).catch(ignore);',
    broken: "",
  },
];
