import type { JSX } from "preact";
import type { Live } from "../../data/pages.ts";
import { ago } from "../format.ts";
import { useNow } from "../live.ts";
import { TITLES, type Go } from "../places.ts";

/** What stands out, each with a link to its page. */
export function FindingList(props: {
  readonly findings: NonNullable<Live["findings"]>;
  readonly go?: Go;
  /** With its remedy, and since when. */
  readonly isFull?: boolean;
}): JSX.Element | null {
  const { findings, go, isFull } = props;
  const now = useNow();
  if (findings.length === 0) return null;
  return (
    <ul class="findings" aria-label="What stands out">
      {findings.map(({ id, level, text, page, remedy, since }) => (
        <li key={id} class={level}>
          <span class="level">{level === "error" ? "Error" : "Warning"}</span>
          <span class="finding-text">
            {text}
            {isFull === true && (
              <span class="remedy">
                What to do: {remedy}
                {since !== null && <span class="minor"> (noticed {ago(since, now)})</span>}
              </span>
            )}
          </span>
          {go !== undefined && location.hash !== `#/${page}` && page in TITLES && page !== "overview" && (
            <a href={`#/${page}`}>{TITLES[page]}</a>
          )}
        </li>
      ))}
    </ul>
  );
}
