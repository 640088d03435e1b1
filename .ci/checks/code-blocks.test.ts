import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { extractBlocks, judgeBlocks, makePrograms, readPages, type CodeBlock } from "./code-blocks.ts";

const COMMANDS = { scripts: ["test", "demo"], packages: ["hotset", "@hotset/redis"] };

const TOP = join(import.meta.dirname, "../..");

const problems = (markdown: string): readonly string[] => judgeBlocks(extractBlocks("README.md", markdown), COMMANDS);
const fenced = (info: string, code: string): string => `\`\`\`${info}\n${code}\n\`\`\``;

describe("programs of the guide", () => {
  /** Where there is no Node, nothing of hotset itself can be in the bundle. */
  const ONLY_THERE = [
    "docs/guide/serverless.md @hotset/core",
    "docs/guide/serverless.md @hotset/memory",
    "docs/guide/redis-over-http.md @hotset/",
  ];

  it("import hotset where it has the name: under pnpm its parts are not found beside it", () => {
    const imports = readPages()
      .filter(({ page }) => /^(?:README|packages\/hotset\/|docs\/(?:guide|reference)\/)/.test(page))
      .flatMap(({ page, code }) =>
        Array.from(
          code.matchAll(/\bfrom "(@hotset\/(?:core|memory|redis|seal|formats\/(?:msgpack|zstd))(?:\/[^"]*)?)"/g),
          ([, path]) => ({ page, path: path! }),
        ),
      );
    expect(imports.map(({ path }) => path)).toContain("@hotset/core");
    const wrong = imports.filter(
      ({ page, path }) => !ONLY_THERE.some((known) => path === known || `${page} ${path}`.startsWith(known)),
    );
    expect(wrong).toEqual([]);
  });
});

it("a program prints the output block that follows it", () => {
  const page = "```js run\na;\n```\n\n```text output\n1\n2\n```\n";
  expect(makePrograms(extractBlocks("docs/a.md", page))).toMatchObject([
    { output: "1\n2", text: "\na;\nexport {};\n" },
  ]);
});

it("each page of the guide says how to install the packages that its programs import", () => {
  const imports = readPages()
    .filter(({ page }) => page.startsWith("docs/guide/"))
    .flatMap(({ page, code }) =>
      Array.from(code.matchAll(/\bfrom "(@hotset\/[a-z-]+)/g), ([, name]) => ({ page, name: name! })),
    )
    .filter(({ name }) => name !== "@hotset/testing");
  expect(imports.length).toBeGreaterThan(20);
  const missing = imports.filter(
    ({ page, name }) => !new RegExp(`npm install [^\\n]*${name}`).test(readFileSync(join(TOP, page), "utf8")),
  );
  expect(missing).toEqual([]);
});

describe("extraction", () => {
  it("finds each block with its line, language, tags and code", () => {
    const page = [
      "# Title",
      "",
      "```ts run",
      "const a = 1;",
      "",
      "void a;",
      "```",
      "text",
      "~~~sh",
      "npm test",
      "~~~",
    ].join("\n");
    expect(extractBlocks("docs/a.md", page)).toEqual([
      { page: "docs/a.md", line: 4, language: "ts", tags: ["run"], code: "const a = 1;\n\nvoid a;" },
      { page: "docs/a.md", line: 10, language: "sh", tags: [], code: "npm test" },
    ]);
  });

  it("takes the indentation of a list item off, and leaves shorter fences inside alone", () => {
    const page = ["- item", "  ````text", "  ```ts", "    x", "  ```", "  ````"].join("\n");
    expect(extractBlocks("docs/a.md", page)).toEqual([
      { page: "docs/a.md", line: 3, language: "text", tags: [], code: "```ts\n  x\n```" },
    ]);
  });

  it("refuses a block that is never closed", () => {
    expect(() => extractBlocks("docs/a.md", "a\n```ts\nb")).toThrow("docs/a.md:2: this code block is never closed");
  });
});

it.each([
  ["ts ignore", "1", 'the tags of a ts block must be among run, continued, got "ignore"'],
  ["bash", "1", 'the language of a code block must be ts, js, sh, json or text, got "bash"'],
  ["json", "{ // x", "this is not JSON; leave comments out, or tag it text"],
  [
    "ts",
    `const a = "${"x".repeat(70)}";`,
    `a line of code has at most 80 columns, got 83: const a = "${"x".repeat(70)}";`,
  ],
  ["text result", "1", 'the only tag of a text block is "output"'],
  ["sh", "npm run nothing", 'package.json has no script "nothing"'],
  ["sh", "npm install hotsett", '"hotsett" is neither a package of ours nor a dependency of one'],
  ["sh", "docker ps", '"docker ps": only "docker run" is on the list of commands'],
])("refuses in a block of %s: %s", (info, code, problem) => {
  expect(problems(fenced(info, code))).toEqual([`README.md:2: ${problem}`]);
});

it("joins a block to those it continues, with the line numbers of the page, and runs the whole if one says so", () => {
  const block = (line: number, tags: readonly string[], code: string): CodeBlock => ({
    ...{ page: "docs/guide/tags.md", language: "ts" },
    ...{ line, tags, code },
  });
  expect(
    makePrograms([block(2, ["run"], "a;"), block(5, ["continued"], "b;"), block(8, [], "c;")]).map(
      ({ line, isRun, text }) => [line, isRun, text],
    ),
  ).toEqual([
    [2, true, "\na;\n\n\nb;\nexport {};\n"],
    [8, false, "\n\n\n\n\n\n\nc;\nexport {};\n"],
  ]);
});
