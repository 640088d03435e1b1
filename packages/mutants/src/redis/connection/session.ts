import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: error replies are cleaned only after node-redis has published them",
    promises: ["C145"],
    rule: "    conceal(error, secrets);\n    onErrorReply(error);",
    broken: "    onErrorReply(error);",
  },
  {
    name: "redis: the tls function is called once",
    promises: ["C148"],
    rule: 'typeof given !== "function") return given;\n  const tls: unknown = await called("tls", given);',
    broken:
      'typeof given !== "function") return given;\n  const tls: unknown = await ((given as { once?: unknown }).once ??= called("tls", given));',
  },
  {
    name: "redis: a user who may not name its connection cannot connect",
    promises: ["C149"],
    rule: 'unlessRefused(client.sendCommand(["CLIENT", "SETNAME", name]))',
    broken: 'client.sendCommand(["CLIENT", "SETNAME", name])',
  },
  {
    name: "redis: a large value over a slow link is taken for silence",
    promises: ["C209"],
    rule: "return socket.bytesRead + taken;",
    broken: "return 0;",
  },
  {
    name: "redis: a command in flight fails with the words of node-redis, which name no server",
    promises: ["C373"],
    rule: "      rejectInFlight(client, lost(address, reason));\n",
    broken: "",
  },
  {
    name: "redis: an empty password of a function logs in as the default user",
    promises: ["C363"],
    rule: 'typeof password === "string" && password !== ""',
    broken: 'typeof password === "string"',
  },
];
