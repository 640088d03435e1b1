import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { temporaryDirectory } from "@hotset/test-servers";
import { describe, expect, it } from "vitest";
import type { Finding } from "../src/doctor/finding.ts";
import { inProcess, json } from "./hotset.ts";
import { SERVICES, startManaged, type ManagedServer, type Service } from "./managed.ts";

const PAGE = join(import.meta.dirname, "../../../docs/guide/which-server.md");

/** Commands that `hotset doctor --for cache` asks, or has a transaction judge. */
const ASKED = [
  "evalsha",
  "eval",
  "script|exists",
  "script|load",
  "client|tracking",
  "config|get",
  "client|list",
  "memory|usage",
];

/** Commands of a cache that it can do without. */
const SPARED = ["client|id", "client|kill", "client|setinfo", "role"];

const lacks = ({ refused }: Service, rules = ASKED): readonly string[] =>
  rules
    .filter((rule) => refused.includes(rule) || refused.includes(rule.split("|")[0]!))
    .map((rule) => `\`${rule.replace("|", " ").toUpperCase()}\``);

/** Its line on the page. */
function line(profile: Service): string {
  const { service, connect, tls, hidden = [], policy, idleMs, failover, hotset, notes, sources } = profile;
  const more = [
    ...hidden.map((field) => `\`${field}\` of \`INFO\``),
    ...(tls === undefined ? [] : ["plain TCP"]),
    ...(policy === undefined ? [] : [`a \`maxmemory-policy\` other than \`${policy}\``]),
    ...(idleMs === undefined ? [] : [`connections idle for ${idleMs / 60_000} min`]),
    ...(failover === undefined ? [] : ["one address after a failover"]),
  ];
  const links = sources.map((source, i) => `[${i + 1}](${source})`).join(" ");
  const all = [...lacks(profile, [...ASKED, ...SPARED]), ...more].join(", ") || "nothing";
  return `| ${service} | ${all} | \`${connect}\`: ${hotset}; ${notes} | *imitated* | ${links} |`;
}

describe("docs/guide/which-server.md", () => {
  it("has what is known of each service, and the day on which it was read", () => {
    const page = readFileSync(PAGE, "utf8");
    const lines = page.split("\n").filter((text) => text.includes("*imitated* |"));
    expect(lines).toEqual(SERVICES.services.map(line));
    expect(page).toContain(`read on ${SERVICES.readOn}`);
  });
});

describe.concurrent("hotset doctor, at a managed service", { timeout: 60_000 }, () => {
  it.for(SERVICES.services.filter(({ hotset }) => hotset !== "refused"))(
    "finds what is missing, and prints a line for the page: $service",
    async (profile) => {
      await using managed = await startManaged(profile);
      await managed.server.command("SET", "report", "1", "EX", 60);
      const report = await json<{ readonly row: string; readonly findings: readonly Finding[] }>(
        ["doctor", "--for", "cache"],
        await variablesOf(managed),
      );
      const [, , missing, hotset, state, on] = report.row.split(/ ?\| ?/);
      expect([missing!.split(", ").toSorted(), hotset, state]).toEqual([
        lacks(profile).length === 0 ? ["nothing"] : lacks(profile).toSorted(),
        profile.hotset,
        "*run*",
      ]);
      expect(on).toMatch(/^doctor \d+\.\d+\.\d+\S*, \d{4}-\d\d-\d\d$/);
      const untracked = report.findings.filter(({ check }) => check === "tracking").map(({ severity }) => severity);
      expect(untracked).toEqual(profile.hotset === "confirms" ? ["error"] : []);
      // Nothing was written.
      expect(await managed.server.command("DBSIZE")).toBe(1);
    },
  );

  it("says that Azure Cache for Redis is too old", async () => {
    await using managed = await startManaged(SERVICES.services.find(({ hotset }) => hotset === "refused")!);
    expect(await inProcess(["doctor"], await variablesOf(managed))).toEqual({
      exitCode: 3,
      stdout: "",
      stderr: "hotset: Redis 6.0.14 is too old: hotset needs Redis 7.0 or later, or Valkey; update the server\n",
    });
  });
});

async function variablesOf({ url, ca, service }: ManagedServer): Promise<NodeJS.ProcessEnv> {
  const at = service.connect === "cluster" ? { REDIS_CLUSTER_URLS: url } : { REDIS_URL: url };
  if (ca === undefined) return at;
  const path = join(await temporaryDirectory("ca"), "ca.crt");
  await writeFile(path, ca);
  return { ...at, REDIS_TLS_ENABLED: "true", REDIS_TLS_CA_PATH: path };
}
