import type { Io } from "../io.ts";

export type Colour = "red" | "yellow" | "dim";

const CODES: Readonly<Record<Colour, readonly [on: number, off: number]>> = {
  red: [31, 39],
  yellow: [33, 39],
  dim: [2, 22],
};

/** For a terminal alone, and not where `NO_COLOR` is set. @see https://no-color.org */
export function painter({ isTerminal, variables }: Io): (colour: Colour, text: string) => string {
  const { NO_COLOR: noColour = "", TERM: term = "" } = variables;
  if (!isTerminal || noColour !== "" || term === "dumb") return (_, text) => text;
  return (colour, text) => `\u001B[${CODES[colour][0]}m${text}\u001B[${CODES[colour][1]}m`;
}
