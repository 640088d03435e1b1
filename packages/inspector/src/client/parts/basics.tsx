import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Silence } from "../../data/pages.ts";
import { duration } from "../format.ts";
import { useNow } from "../live.ts";

export function Panel(props: {
  readonly title: string;
  readonly note?: ComponentChildren;
  /** Figures of before: not of now. */
  readonly isOld?: boolean;
  readonly children: ComponentChildren;
}): JSX.Element {
  return (
    <section class={props.isOld === true ? "panel old" : "panel"}>
      <header>
        <h2>{props.title}</h2>
        {props.note !== undefined && <div class="note">{props.note}</div>}
      </header>
      {props.children}
    </section>
  );
}

/** An empty state: what would be here, and what to do. */
export function Empty(props: { readonly title: string; readonly children?: ComponentChildren }): JSX.Element {
  return (
    <div class="empty">
      <p class="empty-title">{props.title}</p>
      {props.children !== undefined && <p>{props.children}</p>}
    </div>
  );
}

export function ErrorText(props: { readonly children: ComponentChildren }): JSX.Element {
  return (
    <p class="error-text" role="alert">
      {props.children}
    </p>
  );
}

/** A backend does not answer: since when, and what is shown in its place. */
export function Quiet(props: {
  readonly of: string;
  readonly silence: Silence | null | undefined;
}): JSX.Element | null {
  const now = useNow();
  if (props.silence == null) return null;
  const { since, shownAt, error } = props.silence;
  return (
    <div class="quiet-notice" role="note">
      <p>
        <b>
          {props.of} has not answered for {duration(now - since)}.
        </b>{" "}
        {shownAt === null
          ? "Nothing is known yet; it is asked again until it answers."
          : `What is shown is ${duration(now - shownAt)} old.`}
      </p>
      <p class="minor">{error}</p>
    </div>
  );
}

type Tone = "good" | "warning" | "bad" | "quiet";

const TONES: Readonly<Record<string, Tone>> = {
  up: "good",
  fresh: "good",
  attached: "good",
  all: "good",
  held: "good",
  completed: "good",
  down: "bad",
  over: "bad",
  dead: "bad",
  none: "bad",
  error: "bad",
  failed: "bad",
  detached: "warning",
  degraded: "warning",
  bypassed: "warning",
  stale: "warning",
  some: "warning",
  timeout: "warning",
  waiting: "warning",
  paused: "warning",
  elsewhere: "warning",
};

/** A word for a state. The colour repeats what the word says. */
export const State = (props: { readonly children: string; readonly tone?: Tone }): JSX.Element => (
  <span class={`state ${props.tone ?? TONES[props.children] ?? "quiet"}`}>{props.children}</span>
);

/** A figure with its name, which also says what is behind it. */
export function Figure(props: {
  readonly name: string;
  readonly value: string;
  readonly about?: ComponentChildren;
  readonly tone?: Tone;
}): JSX.Element {
  return (
    <div class={`figure ${props.tone ?? ""}`}>
      <dt>{props.name}</dt>
      <dd class="value">{props.value}</dd>
      {props.about !== undefined && <dd class="about">{props.about}</dd>}
    </div>
  );
}

export interface Column<Row> {
  readonly name: string;
  readonly cell: (row: Row) => ComponentChildren;
  /** Figures stand at the right. */
  readonly isFigure?: boolean;
  /** The column that gives way on a narrow page, and names the row. */
  readonly isMain?: boolean;
}

export function Table<Row>(props: {
  readonly label: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly id: (row: Row, at: number) => string;
}): JSX.Element {
  const { label, columns, rows, id } = props;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={label}>
      <table>
        <thead>
          <tr>
            {columns.map(({ name, isFigure }) => (
              <th scope="col" key={name} class={isFigure === true ? "number" : undefined}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, at) => (
            <tr key={id(row, at)}>
              {columns.map(({ name, cell, isFigure, isMain }) => (
                <td
                  key={name}
                  class={isFigure === true ? "number" : isMain === true ? "main" : undefined}
                  data-column={name}
                >
                  {cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** A key of a cache with its namespace; with `onOpen` it opens the key. */
export function KeyName(props: {
  readonly namespace: readonly string[];
  readonly name: string;
  readonly onOpen?: (() => void) | undefined;
}): JSX.Element {
  const text = (
    <>
      {props.namespace.length > 0 && <span class="namespace">{`${props.namespace.join(" › ")} › `}</span>}
      {props.name}
    </>
  );
  return props.onOpen === undefined ? (
    <span class="key">{text}</span>
  ) : (
    <button type="button" class="key link" onClick={props.onOpen}>
      {text}
    </button>
  );
}

/** Asks once more before it does something that cannot be taken back. */
export function ConfirmButton(props: {
  readonly children: string;
  readonly question: string;
  readonly onConfirm: () => Promise<string>;
  /** What it has said stays without the button. */
  readonly isOffered?: boolean;
}): JSX.Element {
  const [said, setSaid] = useState<{ readonly text: string; readonly isError: boolean }>();
  const [isBusy, setBusy] = useState(false);
  const dialog = useRef<HTMLDialogElement>(null);
  const go = async (): Promise<void> => {
    dialog.current?.close();
    setBusy(true);
    try {
      setSaid({ text: await props.onConfirm(), isError: false });
    } catch (error) {
      setSaid({ text: (error as Error).message, isError: true });
    } finally {
      setBusy(false);
    }
  };
  return (
    <span class="confirm">
      {props.isOffered !== false && (
        <button type="button" disabled={isBusy} onClick={() => dialog.current?.showModal()}>
          {props.children}
        </button>
      )}
      <span role="status" class={said?.isError === true ? "said error" : "said"}>
        {said?.text}
      </span>
      <dialog ref={dialog} aria-label={props.children}>
        <p>{props.question}</p>
        <div class="row">
          <button type="button" class="primary" onClick={() => void go()}>
            {props.children}
          </button>
          <button type="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
        </div>
      </dialog>
    </span>
  );
}

/** A text field whose value counts once the typing has paused. */
export function SearchField(props: {
  readonly label: string;
  readonly value: string;
  readonly onSearch: (text: string) => void;
}): JSX.Element {
  const [text, setText] = useState(props.value);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (text === props.value) return undefined;
    const timer = setTimeout(() => props.onSearch(text), 250);
    return () => clearTimeout(timer);
  }, [text]);
  useEffect(() => {
    const focus = (event: KeyboardEvent): void => {
      const isTyping = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
      if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      field.current?.focus();
    };
    document.addEventListener("keydown", focus);
    return () => document.removeEventListener("keydown", focus);
  }, []);
  return (
    <label class="field grow">
      <span>{props.label}</span>
      <input
        ref={field}
        type="search"
        value={text}
        placeholder="Part of a key, or of a namespace"
        autocomplete="off"
        spellcheck={false}
        onInput={(event) => setText(event.currentTarget.value)}
      />
    </label>
  );
}

export function Choice<T extends string>(props: {
  readonly label: string;
  readonly value: T;
  readonly options: readonly (readonly [value: T, text: string])[];
  readonly onChoose: (value: T) => void;
}): JSX.Element {
  return (
    <label class="field">
      <span>{props.label}</span>
      <select value={props.value} onChange={(event) => props.onChoose(event.currentTarget.value as T)}>
        {props.options.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}
