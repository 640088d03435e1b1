import { MODULES, type ModuleName } from "@hotset/redis-toolkit/inspect";
import { nearest, shown, type Arguments } from "../arguments.ts";
import type { Command, Session } from "../command.ts";
import { UsageError } from "../errors.ts";
import { groupsOf } from "../keys/sample.ts";
import { fields } from "../output/table.ts";
import { VERSION } from "../version.ts";
import { ALL_CHECKS } from "./checks.ts";
import { gather, UNANSWERED, type Facts } from "./facts.ts";
import { CHECKS, type Finding } from "./finding.ts";
import { diagnosePostgres, postgresUrl, publicationOf } from "./postgres.ts";
import { infos } from "./primaries.ts";
import { answerOf, type Judged, type Report } from "./report.ts";
import { serverKind, type ServerKind } from "./server-kind.ts";

const SAMPLED = 10_000;

export const doctor: Command = {
  name: "doctor",
  summary: "finds settings that cause trouble in production, and how to fix them",
  words: "",
  about: [
    "Asks every primary, reads a sample of the keys, and changes nothing. A question that its user may not ask is " +
      "a finding, too.",
    "With --url postgres://user@host/database: what a cache needs that follows its log, and what its slots keep. The " +
      "password is that of PGPASSWORD.",
    `Modules: ${MODULES.join(", ")}`,
    `Checks: ${CHECKS.join(", ")}`,
  ],
  options: {
    sample: {
      value: "<n>",
      text: "look at so many keys at most, over all primaries, for three times --timeout; default: 10000",
    },
    for: {
      value: "<modules>",
      text: "modules that will be kept there, with commas: their rights, eviction and persistence are judged; default: those whose keys are found",
    },
    "fail-on": { value: "<severity>", text: "exit with 1 from error, or from warning on; default: error" },
    publication: { value: "<name>", text: "of a PostgreSQL: the one that is followed; default: hotset" },
    ignore: { value: "<checks>", text: "checks to leave out, with commas" },
  },
  check(given) {
    choicesOf(given);
  },
  elsewhere(given, io) {
    const url = postgresUrl(given);
    if (url === undefined) return undefined;
    return diagnosePostgres(url, given, io).then((report) => answerOf(report, choicesOf(given), io));
  },
  async run(session) {
    const choices = choicesOf(session.arguments);
    const facts = await gather(session, { keys: choices.sample, modules: choices.modules });
    const findings = ALL_CHECKS.flatMap((check) => check(facts));
    return answerOf(redisReport(session, facts, findings), choices, session.io);
  },
};

interface Choices extends Judged {
  readonly sample: number;
  readonly modules: readonly ModuleName[];
}

function choicesOf(given: Arguments): Choices {
  if (given.words.length > 0)
    throw new UsageError(`doctor takes no words, got ${shown(given.words[0]!)}; the server is given with --url <url>`);
  const failOn = given.text("fail-on") ?? "error";
  if (failOn !== "error" && failOn !== "warning")
    throw new UsageError(`--fail-on must be error or warning, got ${shown(failOn)}`);
  const isPostgres = postgresUrl(given) !== undefined;
  for (const name of isPostgres ? ["sample", "for"] : ["publication"])
    if (given.flag(name)) throw new UsageError(`--${name} is for a ${isPostgres ? "Redis" : "PostgreSQL"}`);
  if (isPostgres) publicationOf(given);
  return {
    sample: given.count("sample", { fallback: SAMPLED, max: 1_000_000 }),
    modules: listOf(given, "for", MODULES),
    ignored: listOf(given, "ignore", CHECKS),
    failOn,
  };
}

function listOf<T extends string>(given: Arguments, name: string, known: readonly T[]): readonly T[] {
  return given.texts(name).flatMap((text) =>
    text.split(",").map((word) => {
      const found = known.find((one) => one === word.trim());
      if (found !== undefined) return found;
      throw new UsageError(`--${name}: ${shown(word)} is not known${nearest(word, known)}; known: ${known.join(", ")}`);
    }),
  );
}

function redisReport({ connection }: Session, facts: Facts, findings: readonly Finding[]): Report {
  const servers = facts.primaries.map((primary) => {
    const info = "value" in primary.info ? primary.info.value : new Map<string, string>();
    return {
      address: primary.address,
      ...serverKind(info),
      maxmemoryPolicy: info.get("maxmemory_policy"),
      appendOnlyFile: info.has("aof_enabled") ? info.get("aof_enabled") === "1" : undefined,
    };
  });
  const sample = "value" in facts.sample ? facts.sample.value : undefined;
  const modules = sample === undefined ? [] : groupsOf(sample).flatMap(({ module }) => module ?? []);
  const about = {
    user: "value" in facts.user ? facts.user.value : undefined,
    protocol: connection.protocol,
    isCluster: connection.isCluster,
    sampledKeys: sample?.keys.length,
    isSampleComplete: sample?.isComplete,
    modules: [...new Set(modules)],
  };
  const row = rowOf(servers[0], findings);
  return {
    findings,
    json: { servers, ...about, row },
    about: fields([
      ...servers.map((server) => ["server", `${server.address}  ${server.name} ${server.version ?? ""}`] as const),
      ["user", about.user],
      ["protocol", `RESP${about.protocol}`],
      ["eviction", [...new Set(infos(facts).map((info) => info.text("maxmemory_policy")))].join(", ")],
      ["keys", sample && `${sample.keys.length} looked at${sample.isComplete ? ", all of them" : ", a sample"}`],
      ["modules", about.modules.join(", ") || "none found"],
      ...(servers[0]?.support === "tested" ? [] : [["row", row] as const]),
    ]),
  };
}

/** A line for the table in docs/guide/which-server.md. It has no address, and no name of a key. */
function rowOf(server: ServerKind | undefined, findings: readonly Finding[]): string {
  const lacks = findings
    .flatMap(({ evidence: { needs, missing, reason } }) =>
      reason === UNANSWERED ? [] : [needs ?? missing ?? []].flat(),
    )
    .flatMap((rules) => String(rules).split(" "))
    .flatMap((rule) => (rule.startsWith("+") ? [`\`${rule.slice(1).replace("|", " ").toUpperCase()}\``] : []));
  const isMissing = (command: string): boolean => lacks.includes(`\`${command}\``);
  const isUntracked = isMissing("CLIENT TRACKING") || findings.some(({ check }) => check === "protocol");
  const hotset = isMissing("EVALSHA") ? "caches nothing" : isUntracked ? "confirms" : "tracking";
  const program = `${server?.name} ${server?.version}`;
  const on = `doctor ${VERSION}, ${new Date().toISOString().slice(0, 10)}`;
  return `| ${[program, lacks.join(", ") || "nothing", hotset, "*run*", on].join(" | ")} |`;
}
