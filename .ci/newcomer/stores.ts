import { readFileSync } from "node:fs";
import { join } from "node:path";
import { startPostgres } from "@hotset/test-servers";
import { DOCUMENTED_REDIS_URL, makePrograms, readPages } from "../checks/code-blocks.ts";
import type { Newcomer } from "./newcomer.ts";
import { rolldown } from "./programs.ts";

/** An addition to the first program of a README, and its output. */
const ENDS: Readonly<Record<string, readonly [end: string, printed: string]>> = {
  sqlite: ["", ""],
  postgres: ["console.log(user.name);\nawait cache.close();\n", "Ada\n"],
  keyv: ["", ""],
};
const DOCUMENTED_POSTGRES_URL = "postgres://app@localhost/shop";

/**
 * The packages of stores: what their READMEs say to install, and their first programs, as files and in a bundle that
 * runs where nothing is installed.
 */
export async function stores(
  { project, step, check }: Newcomer,
  nodes: Readonly<Record<string, string>>,
  { top, tools, redisUrl }: { readonly top: string; readonly tools: string; readonly redisUrl: string },
): Promise<void> {
  const programs = makePrograms(readPages());
  for (const [store, [end, printed]] of Object.entries(ENDS)) {
    const page = `packages/${store}/README.md`;
    await step(`@hotset/${store}: the first program of its README, and a bundle of it`, async () => {
      await using server = store === "postgres" ? await startPostgres() : undefined;
      const text = programs
        .find((program) => program.page === page)!
        .text.replaceAll(DOCUMENTED_REDIS_URL, redisUrl)
        .replaceAll(DOCUMENTED_POSTGRES_URL, server?.url ?? "");
      const [, packages = ""] = /^npm install (.+)$/m.exec(readFileSync(join(top, page), "utf8")) ?? [];
      const made = project(store, { type: "module" });
      // A user of Keyv has it.
      await made.run("npm", ["install", ...packages.split(" "), ...(store === "keyv" ? ["keyv"] : [])]);
      made.write("program.ts", text + end);
      made.write("build.mjs", rolldown(tools, "program.ts").build);
      await made.run(process.execPath, ["build.mjs"]);
      const alone = project(`${store}-bundle`);
      alone.write("bundle.mjs", readFileSync(join(made.folder, "out/main.mjs"), "utf8"));
      for (const [name, node] of Object.entries(nodes))
        for (const [where, parameters] of [
          [made, ["--experimental-strip-types", "program.ts"]],
          [alone, ["bundle.mjs"]],
        ] as const) {
          const { stdout, stderr } = await where.run(node, ["--no-warnings", ...parameters]);
          check(stdout === printed && stderr === "", `${name}, ${parameters.at(-1)}: ${stdout}${stderr}`);
        }
    });
  }
}
