import { health } from "@hotset/redis-toolkit/health";
import type { Command, Session } from "../command.ts";
import { EXIT } from "../io.ts";
import { groupsOf, sampleOf, type Group } from "../keys/sample.ts";
import { fields, table } from "../output/table.ts";
import { bytesText, numberText, sampleNote } from "../output/text.ts";
import { checkWords } from "../places.ts";

const SAMPLED = 10_000;
/** Owners that are listed, the largest first. */
const LISTED = 50;

export const stats: Command = {
  name: "stats",
  summary: "shows memory, hit ratio and clients, and how many keys each cache and module has",
  words: "",
  about: ["Keys are counted in a sample. The hit ratio is that of the whole server, since its start."],
  options: { sample: { value: "<n>", text: `look at so many keys at most; default: ${SAMPLED}` } },
  check(given) {
    checkWords(given, [], { least: 0 });
    given.count("sample", { fallback: SAMPLED, max: 1_000_000 });
  },
  async run(session) {
    const keys = session.arguments.count("sample", { fallback: SAMPLED, max: 1_000_000 });
    const [server, sample] = await Promise.all([health(session.redis).stats(), sampleOf(session, { keys })]);
    const { servers, ...sums } = server;
    const groups = groupsOf(sample);
    return {
      exitCode: EXIT.fine,
      json: {
        version: 1,
        ...sums,
        servers: Object.fromEntries(servers),
        sampledKeys: sample.keys.length,
        isSampleComplete: sample.isComplete,
        groups: groups.map(({ module = "other", ...group }) => ({ module, ...group })),
      },
      text: [serverText(session, sums), "", groupsText(groups, sample.isComplete)].join("\n"),
    };
  },
};

const PARTS = {
  entry: "entries",
  record: "records of processes",
  version: "versions of tags",
  lease: "leases",
  staged: "on their way",
  issuer: "issuer of versions",
} as const;

type Sums = Omit<Awaited<ReturnType<ReturnType<typeof health>["stats"]>>, "servers">;

function serverText({ connection }: Session, sums: Sums): string {
  const { usedMemory, maxMemory, hitRatio } = sums;
  return fields([
    ["memory", `${bytesText(usedMemory)} of ${maxMemory === 0 ? "no limit" : bytesText(maxMemory)}`],
    ["keys", numberText(sums.keys)],
    ["hit ratio", hitRatio === null ? "no read yet" : `${(100 * hitRatio).toFixed(1)} %, of all reads of the server`],
    ["clients", numberText(sums.connectedClients)],
    ["commands", `${numberText(sums.commandsProcessed)}, ${numberText(sums.commandsPerSecond)} a second`],
    ["evicted", numberText(sums.evictedKeys)],
    ["expired", numberText(sums.expiredKeys)],
    ["protocol", `RESP${connection.protocol}${connection.isCluster ? ", a cluster" : ""}`],
  ]);
}

function groupsText(groups: readonly Group[], isComplete: boolean): string {
  if (groups.length === 0) return "no keys";
  const rows = groups
    .slice(0, LISTED)
    .map(({ module, owner, part, keys, withoutEnd, bytes }) => [
      module ?? "other",
      owner,
      part === undefined ? "" : PARTS[part],
      keys,
      withoutEnd,
      bytesText(bytes),
    ]);
  const more = groups.length > LISTED ? `\n... and ${groups.length - LISTED} more; --json has all` : "";
  return `${table(["module", "name", "what", "keys", "without end", "size"], rows)}${more}\n${sampleNote(isComplete)}`;
}
