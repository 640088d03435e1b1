import { expect, it } from "vitest";
import { problemOf, readFiles, type Pages } from "./.vitepress/reader.ts";
import { QUESTIONS } from "./questions.ts";

const pages = readFiles();

it.each(QUESTIONS.map((question) => [question.words, question] as const))(
  "a search for %j leads to its answer within two clicks",
  (_, question) => {
    expect(problemOf(question, pages)).toBeUndefined();
  },
);

it("there are at least fifty questions, each of other words", () => {
  expect(new Set(QUESTIONS.map(({ words }) => words)).size).toBe(QUESTIONS.length);
  expect(QUESTIONS.length).toBeGreaterThanOrEqual(50);
});

const scripted = (found: readonly string[], links: readonly string[]): Pages => ({
  search: () => found,
  textOf: () => "the answer",
  linksOf: (page) => new Set(page === "/c" ? links : []),
});
const question = { words: "why", page: "/x", answer: /answer/ };

it.each([
  [["/a#1", "/a#2", "/b", "/c", "/d", "/x#3"], [], undefined],
  [["/a", "/b", "/c"], ["/x"], undefined],
  [["/a", "/b", "/d", "/c"], ["/x"], '"why" leads to /a /b /d /c, and none of the first 3 to /x'],
  [["/a", "/b", "/c", "/d", "/e", "/x"], [], '"why" leads to /a /b /c /d /e, and none of the first 3 to /x'],
])("of results %j a reader looks at five, and follows links %j of three", (found, links, problem) => {
  expect(problemOf(question, scripted(found, links))).toBe(problem);
});

it("a page that does not say it is no answer", () => {
  expect(problemOf({ ...question, answer: /other/ }, scripted(["/x"], []))).toBe('"why": /x does not say /other/');
});
