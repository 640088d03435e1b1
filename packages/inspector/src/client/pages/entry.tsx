import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { EntryAnswer, ValueAnswer } from "../../data/pages.ts";
import { ask, useAsk } from "../ask.ts";
import { ago, bytes, clock, count, duration, ending } from "../format.ts";
import { useNow } from "../live.ts";
import { ConfirmButton, Empty, ErrorText, Figure, KeyName, Panel, State, Table } from "../parts/basics.tsx";
import type { KeyPlace } from "../places.ts";

/** Asked again, so that the time line moves. */
const EVERY_MS = 2_000;

export function Entry(props: {
  readonly at: KeyPlace;
  readonly canWrite: boolean;
  readonly onClose: () => void;
}): JSX.Element {
  const { cache, namespace, key } = props.at;
  const at = { cache, namespace, key };
  const { answer, error, again } = useAsk<EntryAnswer>("entry", at, EVERY_MS);
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  return (
    <>
      <div class="row entry-head">
        <button type="button" onClick={props.onClose}>
          All keys
        </button>
        <h2 ref={heading} tabIndex={-1}>
          <KeyName namespace={namespace} name={key} />
        </h2>
        <span class="minor">in {cache}</span>
      </div>
      {error !== undefined && <ErrorText>{error}</ErrorText>}
      {answer !== undefined && (
        <>
          <Facts answer={answer} />
          {props.canWrite && <Actions at={at} onDone={again} />}
          <Value at={at} isThere={answer.info !== null} />
          <Tags answer={answer} at={at} canWrite={props.canWrite} />
          <TimeLine answer={answer} />
        </>
      )}
    </>
  );
}

function Facts({ answer }: { readonly answer: EntryAnswer }): JSX.Element {
  const { info, running } = answer;
  return (
    <Panel title="Entry">
      {running !== null && (
        <p class="fine">
          A load is running: {running.phase}, for {duration(running.forMs)}, with {count(running.callers)} callers.
        </p>
      )}
      {info === null ? (
        <Empty title="No tier has an entry of this key">
          It ended, was removed, or was never stored under this name in this namespace.
        </Empty>
      ) : (
        <dl class="figures">
          <Figure name="State" value={info.state} about={`in ${info.tier}`} />
          <Figure name="Age" value={duration(info.ageMs)} />
          {info.freshForMs !== null && info.freshForMs < 0 ? (
            <Figure name="Stale for" value={duration(-info.freshForMs)} />
          ) : (
            <Figure name="Fresh for" value={duration(info.freshForMs)} />
          )}
          <Figure name="Ends in" value={ending(info.expiresInMs)} />
          {info.encoding !== undefined && (
            <Figure
              name="Stored"
              value={bytes(info.encoding.bytes)}
              about={`${info.encoding.format}${info.encoding.compressor === "" ? "" : `, ${info.encoding.compressor}`}`}
            />
          )}
          {info.etag !== undefined && <Figure name="ETag" value={info.etag} />}
        </dl>
      )}
    </Panel>
  );
}

function Actions({ at, onDone }: { readonly at: KeyPlace; readonly onDone: () => void }): JSX.Element {
  const change = async (name: string): Promise<string> => {
    const { status } = await ask<{ readonly status: string }>(name, at);
    onDone();
    return status === "missing"
      ? "there was no entry"
      : status === "pending"
        ? "pending until the backend answers"
        : "done";
  };
  return (
    <Panel title="Change" note="for every process">
      <div class="row">
        <ConfirmButton
          question="End its freshness now? The next call loads a new value; stale windows begin."
          onConfirm={() => change("mark-stale")}
        >
          Mark stale
        </ConfirmButton>
        <ConfirmButton question="Remove this entry from every tier and process?" onConfirm={() => change("delete")}>
          Delete
        </ConfirmButton>
      </div>
    </Panel>
  );
}

function Value({ at, isThere }: { readonly at: KeyPlace; readonly isThere: boolean }): JSX.Element | null {
  const [shown, setShown] = useState<ValueAnswer>();
  const [error, setError] = useState<string>();
  const show = async (): Promise<void> => {
    setError(undefined);
    try {
      setShown(await ask<ValueAnswer>("value", at));
    } catch (thrown) {
      setError((thrown as Error).message);
    }
  };
  if (!isThere && shown === undefined) return null;
  return (
    <Panel title="Value" note="fields that look like secrets are redacted">
      <div class="row">
        <button type="button" onClick={() => void show()}>
          {shown === undefined ? "Show the value" : "Read it again"}
        </button>
        {shown !== undefined && (
          <button type="button" onClick={() => setShown(undefined)}>
            Hide
          </button>
        )}
      </div>
      {error !== undefined && <ErrorText>{error}</ErrorText>}
      {shown?.kind === "missing" && <Empty title="There is no value any more" />}
      {shown !== undefined && shown.kind !== "missing" && (
        <pre class="value-text" tabIndex={0} role="region" aria-label="The stored value">
          {shown.text}
          {shown.isCut && "\n… the rest is left out"}
        </pre>
      )}
    </Panel>
  );
}

function Tags(props: {
  readonly answer: EntryAnswer;
  readonly at: KeyPlace;
  readonly canWrite: boolean;
}): JSX.Element | null {
  const { answer, at } = props;
  const now = useNow();
  if (answer.info === null) return null;
  const { tags } = answer.info;
  type Tag = (typeof tags)[number];
  const invalidate = async (tag: string): Promise<string> => {
    const { status } = await ask<{ readonly status: string }>("invalidate-tag", { ...at, tag });
    return status;
  };
  const columns = [
    { name: "Tag", isMain: true, cell: ({ tag }: Tag) => <span class="key">{tag}</span> },
    {
      name: "Invalidated",
      isMain: true,
      cell: ({ invalidatedAt }: Tag) =>
        invalidatedAt === null ? "not since the inspector began" : ago(invalidatedAt, now),
    },
    { name: "Version", cell: ({ version }: Tag) => <span class="key">{version ?? "–"}</span> },
  ];
  const action = {
    name: "Change",
    cell: ({ tag }: Tag) => (
      <ConfirmButton
        question={`Invalidate the tag ${tag} in this namespace? No entry that has it is served again, in any process.`}
        onConfirm={() => invalidate(tag)}
      >
        Invalidate
      </ConfirmButton>
    ),
  };
  return (
    <Panel title="Tags">
      {tags.length === 0 ? (
        <Empty title="The entry has no tags" />
      ) : (
        <Table
          label="Tags of the entry"
          rows={tags}
          id={({ tag }) => tag}
          columns={props.canWrite ? [...columns, action] : columns}
        />
      )}
    </Panel>
  );
}

function TimeLine({ answer }: { readonly answer: EntryAnswer }): JSX.Element {
  const { decisions } = answer;
  return (
    <Panel title="What happened" note="newest first">
      {decisions === null ? (
        <Empty title="This cache records no decisions">
          createCache({"{ explain: 1_000 }"}) remembers the last thousand, over all keys.
        </Empty>
      ) : decisions.length === 0 ? (
        <Empty title="Nothing is remembered of this key">
          Decisions of this process appear here, as long as newer ones of other keys leave room.
        </Empty>
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-label="What happened">
          <ol class="time-line">
            {decisions.map(({ at, what, why, times }, i) => (
              <li key={decisions.length - i}>
                <time dateTime={new Date(at).toISOString()}>{clock(at)}</time>
                <State tone="quiet">{what}</State>
                <span>
                  {why}
                  {times > 1 && <span class="minor"> {count(times)} times</span>}
                </span>
              </li>
            ))}
          </ol>
        </div>
      )}
    </Panel>
  );
}
