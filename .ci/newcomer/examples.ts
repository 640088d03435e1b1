import { cpSync, globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { startOwnPostgres } from "@hotset/test-servers";
import type { Newcomer } from "./newcomer.ts";
import { latest } from "./project.ts";

/** The examples, copied out of the repository: each prints what it prints there. Their heads ask for Node 24. */
export async function examples(of: Newcomer, node: string, at: { top: string; redisUrl: string }): Promise<void> {
  const { project, step, check } = of;
  const from = join(at.top, "docs/examples");
  const output = JSON.parse(readFileSync(join(from, "output.json"), "utf8")) as Readonly<Record<string, string[]>>;
  await step(`${Object.keys(output).length} examples, copied out`, async () => {
    await using postgres = await startOwnPostgres({ config: ["wal_level = logical", "max_slot_wal_keep_size = 64MB"] });
    const ours = ["core", "http", "postgres-follow", "redis-toolkit", "transactions"].map((name) => `@hotset/${name}`);
    const names = ["hotset", ...ours, "pg"];
    const made = project("examples", { type: "module", dependencies: latest(names) });
    await made.run("npm", ["install"]);
    for (const path of [...globSync("*.ts", { cwd: from }), "file-backend"])
      cpSync(join(from, path), join(made.folder, path), { recursive: true });
    for (const [file, lines] of Object.entries(output)) {
      const environment = { REDIS_URL: at.redisUrl, POSTGRES_URL: postgres.url, KEY_PREFIX: basename(file, ".ts") };
      const { stdout, stderr } = await made.run(node, ["--no-warnings", file], environment);
      check(stderr === "" && stdout.trimEnd() === lines.join("\n"), `${file}: ${stdout}${stderr}`);
    }
  });
}
