import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseSync } from "oxc-parser";
import { describe, expect, it } from "vitest";
import { extractBlocks, judgeBlocks, makePrograms, readPages, type CodeBlock } from "./code-blocks.ts";

const COMMANDS = { scripts: ["test", "demo"], packages: ["hotset", "@hotset/redis"] };

const TOP = join(import.meta.dirname, "../..");

const problems = (markdown: string): readonly string[] => judgeBlocks(extractBlocks("README.md", markdown), COMMANDS);
const fenced = (info: string, code: string): string => `\`\`\`${info}\n${code}\n\`\`\``;

describe("C382: programs of the guide", () => {
  /** What `hotset` does not have. Authors of backends depend on the core: it is a package that they publish for. */
  const ONLY_THERE = ["docs/guide/writing-a-backend.md @hotset/core", "@hotset/redis/connection"];

  it("import hotset where it has the name: under pnpm its parts are not found beside it", () => {
    const imports = readPages()
      .filter(({ page }) => /^(?:README|packages\/hotset\/|docs\/(?:guide|reference)\/)/.test(page))
      .flatMap(({ page, code }) =>
        Array.from(
          code.matchAll(/\bfrom "(@hotset\/(?:core|memory|redis|seal|formats\/(?:msgpack|zstd))(?:\/[^"]*)?)"/g),
          ([, path]) => ({ page, path: path! }),
        ),
      );
    expect(imports.map(({ path }) => path)).toContain("@hotset/redis/connection");
    const wrong = imports.filter(
      ({ page, path }) => !ONLY_THERE.some((known) => path === known || `${page} ${path}`.startsWith(known)),
    );
    expect(wrong).toEqual([]);
  });
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

describe("C383: the first program", () => {
  it.each(["README.md", "packages/hotset/README.md", "docs/guide/getting-started.md"])(
    "of %s runs as JavaScript and as TypeScript",
    (page) => {
      const first = readPages().find((block) => block.page === page && block.tags.includes("run"));
      for (const ending of ["mjs", "mts"]) expect(parseSync(`program.${ending}`, first!.code).errors).toEqual([]);
    },
  );

  it.each(["README.md", "packages/hotset/README.md", "docs/guide/getting-started.md"])(
    "of %s is given an ending that the lowest Node runs, or the Node that runs it",
    (page) => {
      const text = readFileSync(join(TOP, page), "utf8");
      const paragraphs = text.split("\n\n").filter((paragraph) => paragraph.includes("`.mts`"));
      for (const paragraph of paragraphs) expect(paragraph).toMatch(/22\.18[^]*--experimental-strip-types/);
    },
  );
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

describe("languages and tags", () => {
  it("takes ts, js, text, and json that parses", () => {
    const page = [
      fenced("ts", "1"),
      fenced("js run", "1"),
      fenced("text", "anything"),
      fenced("json", '{ "a": 1 }'),
    ].join("\n");
    expect(problems(page)).toEqual([]);
  });

  it.each([
    ["", 'README.md:2: the language of a code block must be ts, js, sh, json or text, got ""'],
    ["bash", 'README.md:2: the language of a code block must be ts, js, sh, json or text, got "bash"'],
    ["ts ignore", 'README.md:2: the tags of a ts block must be among run, continued, got "ignore"'],
    ["json", "README.md:2: this is not JSON; leave comments out, or tag it text"],
  ])("refuses the info string %j", (info, problem) => {
    expect(problems(fenced(info, "{ // x"))).toEqual([problem]);
  });
});

it("refuses a line of code that a reader would scroll sideways, but no text and no long name in an import", () => {
  const wide = `const a = "${"x".repeat(70)}";`;
  expect(problems(fenced("ts", wide))).toEqual([`README.md:2: a line of code has at most 80 columns, got 83: ${wide}`]);
  expect(problems(fenced("ts", wide.slice(0, 80)))).toEqual([]);
  expect(problems(fenced("ts", `import { ${"x".repeat(70)} } from "a";`))).toEqual([]);
  expect(problems(fenced("text", wide))).toEqual([]);
});

describe("shell blocks", () => {
  it.each([
    "npm test",
    "npm test -- lint",
    "npm run demo -- --processes 3   # three of them",
    "REDIS_URL=redis://localhost npm run demo",
    "npm install hotset @hotset/redis",
    "npm install --save-exact \\\n  hotset",
    "git clone https://github.com/hotset/hotset\ncd hotset",
    "# a comment alone",
    "docker run -p 6379:6379 redis:8",
  ])("takes %j", (code) => {
    expect(problems(fenced("sh", code))).toEqual([]);
  });

  it.each([
    ["npm run nothing", 'package.json has no script "nothing"'],
    ["npm start", 'package.json has no script "start"'],
    ["npm install hotsett", '"hotsett" is neither a package of ours nor a dependency of one'],
    ["npm publish", '"npm publish" is not among: npm install, npm run, npm start, npm test'],
    [
      "curl localhost",
      '"curl localhost" is not on the list of commands; tag the block "sh example" if it is an illustration',
    ],
    ["docker ps", '"docker ps": only "docker run" is on the list of commands'],
  ])("refuses %j", (code, problem) => {
    expect(problems(fenced("sh", code))).toEqual([`README.md:2: ${problem}`]);
    expect(problems(fenced("sh example", code))).toEqual([]);
  });
});

describe("programs", () => {
  const block = (line: number, tags: readonly string[], code: string, page = "docs/guide/tags.md"): CodeBlock => ({
    page,
    line,
    language: "ts",
    tags,
    code,
  });

  it("keeps the line numbers of the page", () => {
    expect(makePrograms([block(3, [], "a;\nb;")])).toEqual([
      {
        page: "docs/guide/tags.md",
        line: 3,
        isRun: false,
        fileName: "docs-guide-tags.md-L3.ts",
        text: "\n\na;\nb;\nexport {};\n",
      },
    ]);
  });

  it("joins a block to those it continues, and runs the whole if one says so", () => {
    expect(makePrograms([block(2, ["run"], "a;"), block(5, ["continued"], "b;"), block(8, [], "c;")])).toEqual([
      {
        page: "docs/guide/tags.md",
        line: 2,
        isRun: true,
        fileName: "docs-guide-tags.md-L2.ts",
        text: "\na;\n\n\nb;\nexport {};\n",
      },
      {
        page: "docs/guide/tags.md",
        line: 8,
        isRun: false,
        fileName: "docs-guide-tags.md-L8.ts",
        text: "\n\n\n\n\n\n\nc;\nexport {};\n",
      },
    ]);
  });

  it("refuses to continue nothing, or another page", () => {
    const message = "docs/b.md:2: there is no ts block on this page to continue";
    expect(() => makePrograms([block(2, ["continued"], "a;", "docs/b.md")])).toThrow(message);
    expect(() => makePrograms([block(2, [], "a;"), block(2, ["continued"], "b;", "docs/b.md")])).toThrow(message);
  });
});
