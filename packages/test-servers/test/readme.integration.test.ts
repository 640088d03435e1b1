import { execFile } from "node:child_process";
import { readFile, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

// The check of code blocks compiles against built packages, and this one is never built: hence here.
it("prints the output shown in the README", async () => {
  const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");
  const code = /```text\n([^]*?)```/.exec(readme)?.[1] ?? "";
  const said = [...code.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map((match) => match[1]);
  const program = fileURLToPath(new URL(`./readme-${process.pid}.ts`, import.meta.url));
  await writeFile(program, code.replace("@hotset/test-servers", "../src/index.ts"));
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [program]);
    expect(stdout.trimEnd().split("\n")).toEqual(said);
    expect(said).toEqual(["1", "read ECONNRESET"]);
  } finally {
    await rm(program);
  }
});
