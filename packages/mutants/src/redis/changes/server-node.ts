import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "redis: the connection for calls is subscribed to a channel",
    promises: ["C402"],
    rule: "feed.prepare(client, prepare)",
    broken:
      "feed.prepare(client, async (made) => {\n      await prepare(made);\n" +
      '      await made.subscribe("shared", () => undefined);\n    })',
  },
];
