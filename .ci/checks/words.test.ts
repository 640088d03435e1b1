import { describe, expect, it } from "vitest";
import {
  countWords,
  findIdioms,
  findPhrases,
  isReadByUsers,
  passagesOfPage,
  passagesOfSource,
  wideComments,
  type Passage,
} from "./words.ts";

const inPage = (markdown: string): readonly string[] => found(passagesOfPage(markdown));
const inSource = (text: string): readonly string[] => found(passagesOfSource("a.ts", text));
const found = (passages: readonly Passage[]): readonly string[] =>
  passages.flatMap(findPhrases).map(({ line, phrase }) => `${line}: ${phrase}`);

describe("phrases", () => {
  it.each([
    ["What is cached is served.", ["1: What"]],
    ["A key is dropped. Those of others stay.", ["1: Those"]],
    ["The cache is told: Of two, one", ["1: Of", "1: told"]],
    ["Whoever asks tells somebody, in vain", ["1: Whoever", "1: tells", "1: somebody", "1: in vain"]],
    ["undefined is no key", ["1: is no key"]],
  ])("finds them in %j", (text, phrases) => {
    expect(inPage(text)).toEqual(phrases);
  });

  it.each([
    "It says what is cached, and of whom.",
    "A key is no longer there; there is no tier.",
    "The whole of it: `whoever.told()` and [a page](what-is-told.md)",
    "An intelligent shears whether",
  ])("finds none in %j", (text) => {
    expect(inPage(text)).toEqual([]);
  });
});

describe("idioms", () => {
  it.each([
    ["It is served at once, beside a copy of its own.", ["beside", "at once", "of its own"]],
    ["While Redis is away it goes on by itself", ["is away", "goes on", "by itself"]],
    ["The time is over; it begins anew, also where `this goes on`", ["is over", "anew", "also where"]],
    ["Ten calls at once read one of its own keys.", []],
    ["It is served immediately, next to its own copy, and expires on its own.", []],
  ])("finds them in %j", (text, phrases) => {
    expect(
      passagesOfPage(text)
        .flatMap(findIdioms)
        .map(({ phrase }) => phrase),
    ).toEqual(phrases);
  });

  it.each([
    ["README.md", true],
    ["docs/guide/faq.md", true],
    ["docs/reference/options.md", true],
    ["packages/memory/README.md", true],
    ["docs/reference/api/cache.md", true],
    ["docs/decisions/log.md", false],
    ["packages/memory/src/memory.ts", true],
    ["packages/memory/src/memory.test.ts", false],
    ["packages/stories/src/any.ts", false],
  ])("are counted in pages for users and in sources: %s", (file, isCounted) => {
    expect(isReadByUsers(file)).toBe(isCounted);
  });
});

describe("pages", () => {
  it("are read by paragraph: a line that goes on begins no sentence", () => {
    expect(inPage("The first\nOf many.\n\nOf many.")).toEqual(["4: Of"]);
  });

  it("are read by item, heading and cell", () => {
    expect(inPage("# What\n- What\n\n| a | What |\n|---|---|\n1. What\n> What")).toEqual([
      "1: What",
      "2: What",
      "4: What",
      "6: What",
      "7: What",
    ]);
  });

  it("are read without code blocks", () => {
    expect(inPage("```text\nWhat is told\n```\nWhat is told")).toEqual(["4: What", "4: told"]);
  });
});

describe("sources", () => {
  it("are read by comment, lines below one another together", () => {
    expect(inSource("// The first\n// Of many.\nlet told = 1; // Of many\nlet b;\n// Of many")).toEqual([
      "3: Of",
      "5: Of",
    ]);
  });

  it("are read by docstring, with its tags and lists", () => {
    expect(inSource("/**\n * One.\n * Two, who is told.\n *\n * - What\n * @returns What\n */\nlet a;")).toEqual([
      "3: told",
      "5: What",
      "6: What",
    ]);
  });

  it("are read by string of several words, on the line where it stands", () => {
    expect(inSource('f("who is told"); f("a caller is told"); f(`one two\nthree ${told} is told`);')).toEqual([
      "1: told",
      "2: told",
    ]);
  });

  it("are not read by name, and scripts are code", () => {
    expect(inSource("const whoever = nobody.told; f(`return redis.call('x') -- told as ${x}`)")).toEqual([]);
    expect(
      inSource('const m = { name: "one who is told", rule: "if (told) return a", broken: "" + "// who is told" };'),
    ).toEqual(["1: told"]);
  });

  it("count words of prose alone", () => {
    const passages = passagesOfSource("a.ts", '// Two words.\nf("and here are four", "but not");');
    expect(passages.map(countWords)).toEqual([2, 4]);
  });
});

describe("wide comments", () => {
  const filled = (width: number): string => `// ${"x".repeat(width - 3)}`;

  it("end beyond column 120", () => {
    expect(wideComments("a.ts", `${filled(120)}\n${filled(121)}\nlet a; ${filled(115)}`)).toEqual([2, 3]);
  });

  it("are no addresses and no strings", () => {
    const address = `// https://example.org/${"x".repeat(120)}`;
    expect(wideComments("a.ts", `${address}\nf("${filled(130)}");`)).toEqual([]);
  });
});
