import { readFileSync, globSync } from "node:fs";
import { join } from "node:path";
import { DockerfileParser, type Instruction, type JSONInstruction, type ModifiableInstruction } from "dockerfile-ast";
import { validate } from "dockerfile-utils";
import { describe, expect, it } from "vitest";
import { READY_DEADLINE_MS, readSettings } from "../src/settings.ts";
import { here, knownVariables, ownVariables, top, variablesOf } from "./variables.ts";

const text = readFileSync(join(here, "Dockerfile"), "utf8");
const instructions = DockerfileParser.parse(text).getInstructions();
/** The second stage: the image that runs. */
const final = instructions.slice(instructions.findLastIndex((instruction) => is(instruction, "FROM")));

function is(instruction: Instruction, keyword: string): boolean {
  return instruction.getKeyword() === keyword;
}

/** Arguments of the only instruction of its kind. */
function only(keyword: string): string {
  const found = final.filter((instruction) => is(instruction, keyword));
  expect(found).toHaveLength(1);
  return found[0]!.getArgumentsContent() ?? "";
}

const wordsOf = (instruction: Instruction): readonly string[] =>
  (instruction as JSONInstruction).getJSONStrings().map((word) => JSON.parse(word.getValue()) as string);

describe("R3-12: Dockerfile", () => {
  it("has no fault that its linter knows", () => {
    expect(validate(text)).toEqual([]);
  });

  it("is of two stages, of the Node that the workspace runs on, and starts programs without a shell", () => {
    const { devDependencies } = JSON.parse(readFileSync(join(top, "package.json"), "utf8")) as {
      devDependencies: Readonly<Record<string, string>>;
    };
    const image = `node:${devDependencies["node"]}-bookworm-slim`;
    expect(instructions.filter((line) => is(line, "FROM")).map((line) => line.getArgumentsContent())).toEqual([
      `${image} AS build`,
      image,
    ]);
    const commands = instructions.filter((line) => is(line, "RUN") || is(line, "CMD"));
    expect(commands.filter((line) => wordsOf(line).length === 0)).toEqual([]);
    expect(wordsOf(commands.at(-1)!)).toEqual(["node", "src/main.ts"]);
  });

  it("runs as no administrator, ends by SIGTERM, and names the port of the service", () => {
    expect(only("USER")).toBe("node");
    expect(only("STOPSIGNAL")).toBe("SIGTERM");
    expect(Number(only("EXPOSE"))).toBe(readSettings({}).port);
  });

  it("asks for its health with bounds that leave the probe its time", () => {
    const check = final.find((line) => is(line, "HEALTHCHECK"))!;
    const flags = Object.fromEntries(
      (check as ModifiableInstruction).getFlags().map((flag) => [flag.getName(), flag.getValue()]),
    );
    expect(flags).toEqual({ interval: "30s", timeout: "10s", "start-period": "30s", retries: "3" });
    expect(Number.parseInt(flags["timeout"]!, 10) * 1_000).toBeGreaterThan(4 * READY_DEADLINE_MS);
    expect(check.getArgumentsContent()).toMatch(/^CMD \["node", "src\/probe\.ts"\]$/);
  });

  it("copies sources alone into the image, and no secret into its build", () => {
    const { files } = JSON.parse(readFileSync(join(here, "package.json"), "utf8")) as { files: readonly string[] };
    expect(files).toEqual(["src"]);
    expect(globSync("*", { cwd: join(here, "src") }).toSorted()).toEqual([
      "app.ts",
      "main.ts",
      "probe.ts",
      "settings.ts",
      "shop.ts",
    ]);
    const ignored = readFileSync(join(here, "Dockerfile.dockerignore"), "utf8").split("\n");
    expect(ignored).toEqual(expect.arrayContaining(["**/.git", "**/node_modules", "**/dist", "**/.env", "**/secrets"]));
  });
});

describe(".env.example", () => {
  const example = variablesOf("docs/examples/service/.env.example");

  it("lists the variables that are read, and no other", () => {
    expect(ownVariables()).toContain("PORT");
    expect([...example.keys()].toSorted()).toEqual([...knownVariables()].toSorted());
  });

  it("has the defaults", () => {
    const ofPaths = (env: Readonly<Record<string, string>>): Readonly<Record<string, string>> =>
      Object.fromEntries(Object.entries(env).filter(([name]) => !name.endsWith("_FILE")));
    expect(readSettings(ofPaths(Object.fromEntries(example)))).toEqual(readSettings({}));
    for (const [name, value] of variablesOf("docs/operations/env.example")) expect(example.get(name)).toBe(value);
  });
});
