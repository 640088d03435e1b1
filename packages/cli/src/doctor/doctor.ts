import { nearest, shown, type Arguments } from "../arguments.ts";
import type { Answer, Command, Session } from "../command.ts";
import { EXIT } from "../io.ts";
import { MODULES, type Module } from "../keys/key-table.ts";
import { groupsOf } from "../keys/sample.ts";
import { painter, type Colour } from "../output/colours.ts";
import { fields } from "../output/table.ts";
import { safe } from "../output/text.ts";
import { UsageError } from "../errors.ts";
import { ALL_CHECKS } from "./checks.ts";
import { gather, type Facts } from "./facts.ts";
import { CHECKS, RANK, type CheckName, type Finding, type Severity } from "./finding.ts";
import { infos } from "./primaries.ts";
import { serverKind } from "./server-kind.ts";

const SAMPLED = 10_000;

export const doctor: Command = {
  name: "doctor",
  summary: "finds settings that cause trouble in production, and how to fix them",
  words: "",
  about: [
    "Asks every primary, reads a sample of the keys, and changes nothing. A question that its user may not ask is " +
      "a finding, too.",
    `Modules: ${MODULES.join(", ")}`,
    `Checks: ${CHECKS.join(", ")}`,
  ],
  options: {
    sample: { value: "<n>", text: "look at so many keys at most; default: 10000" },
    for: {
      value: "<modules>",
      text: "modules that will be kept there, with commas: their rights, eviction and persistence are judged; default: those whose keys are found",
    },
    "fail-on": { value: "<severity>", text: "exit with 1 from error, or from warning on; default: error" },
    ignore: { value: "<checks>", text: "checks to leave out, with commas" },
  },
  check(given) {
    choicesOf(given);
  },
  async run(session) {
    const choices = choicesOf(session.arguments);
    const facts = await gather(session, { keys: choices.sample, modules: choices.modules });
    const findings = ALL_CHECKS.flatMap((check) => check(facts))
      .filter(({ check }) => !choices.ignored.includes(check))
      .toSorted((one, other) => RANK[one.severity] - RANK[other.severity]);
    const fails = findings.some(({ severity }) => RANK[severity] <= RANK[choices.failOn]);
    return answerOf(session, facts, findings, fails);
  },
};

interface Choices {
  readonly sample: number;
  readonly modules: readonly Module[];
  readonly ignored: readonly CheckName[];
  readonly failOn: Severity;
}

function choicesOf(given: Arguments): Choices {
  if (given.words.length > 0)
    throw new UsageError(`doctor takes no words, got ${shown(given.words[0]!)}; the server is given with --url <url>`);
  const failOn = given.text("fail-on") ?? "error";
  if (failOn !== "error" && failOn !== "warning")
    throw new UsageError(`--fail-on must be error or warning, got ${shown(failOn)}`);
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

function answerOf({ connection, io }: Session, facts: Facts, findings: readonly Finding[], fails: boolean): Answer {
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
  const count = (severity: Severity): number => findings.filter((one) => one.severity === severity).length;
  const counts = { errors: count("error"), warnings: count("warning"), infos: count("info") };
  return {
    exitCode: fails ? EXIT.findings : EXIT.fine,
    json: { version: 1, servers, ...about, counts, findings },
    text: [
      fields([
        ...servers.map((server) => ["server", `${server.address}  ${server.name} ${server.version ?? ""}`] as const),
        ["user", about.user],
        ["protocol", `RESP${about.protocol}`],
        ["eviction", [...new Set(infos(facts).map((info) => info.text("maxmemory_policy")))].join(", ")],
        ["keys", sample && `${sample.keys.length} looked at${sample.isComplete ? ", all of them" : ", a sample"}`],
        ["modules", about.modules.join(", ") || "none found"],
      ]),
      "",
      ...findings.flatMap((finding) => [...linesOf(finding, painter(io)), ""]),
      `errors: ${counts.errors}, warnings: ${counts.warnings}, not looked at: ${counts.infos}`,
    ].join("\n"),
  };
}

const COLOURS: Readonly<Record<Severity, Colour>> = { error: "red", warning: "yellow", info: "dim" };

function linesOf(
  { check, severity, found, evidence, fix }: Finding,
  paint: ReturnType<typeof painter>,
): readonly string[] {
  const figures = Object.entries(evidence).map(
    ([name, value]) => `${name}=${typeof value === "object" ? value.join(",") : value}`,
  );
  return [
    `${paint(COLOURS[severity], severity.padEnd(7))}  ${check}: ${safe(found)}`,
    `         ${paint("dim", safe(figures.join(" ")))}`,
    `         fix: ${safe(fix)}`,
  ];
}
