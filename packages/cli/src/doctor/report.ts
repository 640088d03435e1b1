import type { Answer } from "../command.ts";
import { EXIT, type Io } from "../io.ts";
import { painter, type Colour } from "../output/colours.ts";
import { safe } from "../output/text.ts";
import { RANK, type CheckName, type Finding, type Severity } from "./finding.ts";

/** What was looked at, and what stood out. */
export interface Report {
  readonly findings: readonly Finding[];
  /** Fields of the JSON, next to `version`, `counts` and `findings`. */
  readonly json: object;
  /** The same figures as lines of text, above the findings. */
  readonly about: string;
}

/** Which findings count. */
export interface Judged {
  readonly ignored: readonly CheckName[];
  readonly failOn: Severity;
}

export function answerOf(report: Report, { ignored, failOn }: Judged, io: Io): Answer {
  const findings = report.findings
    .filter(({ check }) => !ignored.includes(check))
    .toSorted((one, other) => RANK[one.severity] - RANK[other.severity]);
  const fails = findings.some(({ severity }) => RANK[severity] <= RANK[failOn]);
  const count = (severity: Severity): number => findings.filter((one) => one.severity === severity).length;
  const counts = { errors: count("error"), warnings: count("warning"), infos: count("info") };
  return {
    exitCode: fails ? EXIT.findings : EXIT.fine,
    json: { version: 1, ...report.json, counts, findings },
    text: [
      report.about,
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
