import { cpSync, globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Newcomer } from "./newcomer.ts";

/** The examples, copied out of the repository: each prints what it prints there. Their heads ask for Node 24. */
export async function examples(
  { project, step, check }: Newcomer,
  node: string,
  { top, redisUrl }: { readonly top: string; readonly redisUrl: string },
): Promise<void> {
  const from = join(top, "docs/examples");
  const output = JSON.parse(readFileSync(join(from, "output.json"), "utf8")) as Readonly<Record<string, string[]>>;
  await step(`${Object.keys(output).length} examples, copied out`, async () => {
    const names = ["hotset", "@hotset/core", "@hotset/http", "@hotset/redis-toolkit"];
    const dependencies = Object.fromEntries(names.map((name) => [name, "latest"]));
    const made = project("examples", { type: "module", dependencies });
    await made.run("npm", ["install"]);
    for (const path of [...globSync("*.ts", { cwd: from }), "file-backend"])
      cpSync(join(from, path), join(made.folder, path), { recursive: true });
    for (const [file, lines] of Object.entries(output)) {
      const environment = { REDIS_URL: redisUrl, KEY_PREFIX: basename(file, ".ts") };
      const { stdout, stderr } = await made.run(node, ["--no-warnings", file], environment);
      check(stderr === "" && stdout.trimEnd() === lines.join("\n"), `${file}: ${stdout}${stderr}`);
    }
  });
}
