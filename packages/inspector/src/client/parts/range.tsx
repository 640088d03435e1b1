import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { Choice } from "./basics.tsx";

/** The time of the figures on a page. */
export type Range = "recent" | "all";

/** The chosen range of time, kept from page to page until the browser loads the page again. */
let chosen: Range = "recent";

export function useRange(): readonly [Range, (range: Range) => void] {
  const [range, setRange] = useState(chosen);
  const choose = (next: Range): void => {
    chosen = next;
    setRange(next);
  };
  return [range, choose];
}

export const RangeChoice = (props: {
  readonly range: Range;
  readonly onChoose: (range: Range) => void;
}): JSX.Element => (
  <Choice
    label="Figures of"
    value={props.range}
    options={[
      ["recent", "the last 5 minutes"],
      ["all", "the time since the start"],
    ]}
    onChoose={props.onChoose}
  />
);
