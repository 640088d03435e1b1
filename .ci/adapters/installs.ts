import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Row, Scenarios, Workshop } from "./workshop.ts";

/** Each adapter, with the newest release of what it is for. */
const FRAMEWORKS: Readonly<Record<string, readonly string[]>> = {
  astro: ["@hotset/http", "astro"],
  drizzle: ["drizzle-orm"],
  graphql: ["@envelop/response-cache", "@envelop/core", "graphql"],
  http: ["undici"],
  keyv: ["keyv"],
  nest: ["@nestjs/common", "@nestjs/core", "rxjs", "reflect-metadata"],
  next: ["next", "react", "react-dom"],
  unstorage: ["unstorage"],
};

const LOAD = `const require = (await import("node:module")).createRequire(import.meta.url);
for (const entry of process.argv.slice(2)) {
  const [imported, required] = [await import(entry), require(entry)];
  for (const name of Object.keys(imported))
    if (name !== "default" && imported[name] !== required[name]) throw new Error(entry + ": " + name);
}
`;
const TSC = ["--noEmit", "--strict", "--module", "nodenext", "--types", "node", "--pretty", "false"];

/** Packed packages, by npm and by pnpm: each entry by `import` and `require`, and its types without `skipLibCheck`. */
export async function installs({ top, project, count }: Workshop): Promise<readonly Row[]> {
  const scenarios: Record<string, () => Promise<void>> = {};
  for (const [folder, those] of Object.entries(FRAMEWORKS))
    for (const installer of ["npm", "pnpm"] as const)
      scenarios[`${folder} by ${installer}`] = async () => {
        const name = `@hotset/${folder}`;
        const manifest = readFileSync(join(top, "packages", folder, "package.json"), "utf8");
        const entries = Object.keys((JSON.parse(manifest) as { exports: object }).exports).map((it) => join(name, it));
        const newest = Object.fromEntries([name, "hotset", ...those].map((each) => [each, "latest"]));
        const dependencies = { ...newest, typescript: "7.0.2", "@types/node": "^24" };
        const made = await project(`${folder}-${installer}`, { dependencies }, installer);
        made.write("load.js", LOAD);
        await made.run("node", ["load.js", ...entries]);
        const text = entries.map((entry, i) => `export * as _${i} from "${entry}";\n`).join("");
        for (const file of ["types.mts", "types.cts"]) made.write(file, text);
        // Declarations of frameworks name packages that are not there.
        const printed = await made.run("npx", ["tsc", ...TSC, "types.mts", "types.cts"]).then(() => "", String);
        const ours = printed.split("\n").filter((line) => /^types\.|^\S*node_modules\/@hotset/.test(line));
        if (ours.length > 0 || !/^$|error TS/.test(printed)) throw new Error(ours.join("; ") || printed);
      };
  const ours = await count("installed", scenarios satisfies Scenarios, true);
  return [{ adapter: "all", suite: "packed, by npm and pnpm, with their newest frameworks", ours, today: "" }];
}
