import { expect, it } from "vitest";
import { Progress } from "./progress.ts";

/** The output of a walk of 300 keys, 100 of them each time. */
function shown(isErrorTerminal: boolean, stepMs: number): readonly string[] {
  const texts: string[] = [];
  let now = 0;
  const io = {
    ...{ variables: {}, isTerminal: false, isErrorTerminal, signal: new AbortController().signal },
    ...{ print: () => undefined, complain: (text: string) => void texts.push(text) },
  };
  const progress = new Progress(io, 300, () => now);
  for (let i = 0; i < 3; i += 1) {
    now += stepMs;
    progress.add(100);
  }
  progress.end();
  return texts;
}

it("is a bar in a terminal, which goes at the end", () => {
  expect(shown(true, 600)).toEqual([
    `\r[${"#".repeat(20)}${" ".repeat(10)}] 200 of 300 keys looked at`,
    `\r[${"#".repeat(30)}] 300 of 300 keys looked at`,
    "\r\u001B[K",
  ]);
});

it("is a line now and then elsewhere", () => {
  expect(shown(false, 18_000)).toEqual(["hotset: 200 of 300 keys looked at\n"]);
});

it("is nothing for a short walk", () => {
  expect([shown(true, 300), shown(false, 300)]).toEqual([[], []]);
});
