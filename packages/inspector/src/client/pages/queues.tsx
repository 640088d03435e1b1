import type { JobState } from "@hotset/redis-toolkit/queue";
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { JobRow, QueueRow, ValueAnswer } from "../../data/pages.ts";
import { ask, useAsk } from "../ask.ts";
import { ago, count, duration, plural } from "../format.ts";
import { useNow } from "../live.ts";
import { Choice, ConfirmButton, Empty, ErrorText, Panel, Quiet, State, Table } from "../parts/basics.tsx";
import type { PageProps } from "../places.ts";

const STATES = ["waiting", "delayed", "active", "completed", "dead"] as const;
const DEAD = "dead" as const;

export function Queues({ live }: PageProps): JSX.Element {
  const [open, setOpen] = useState<string>();
  const { rows, silence } = live.queues ?? {};
  const canWrite = live.status?.canWrite === true;
  const chosen = rows?.find(({ name }) => name === open) ?? (rows?.length === 1 ? rows[0] : undefined);
  return (
    <>
      <Quiet of="Redis" silence={silence} />
      {rows === undefined ? (
        silence == null && <Empty title="Looking for queues" />
      ) : rows.length === 0 && silence != null ? (
        <Empty title="There were none" />
      ) : rows.length === 0 ? (
        <Empty title="There are no queues">A queue of queue(redis, name) appears here with its first job.</Empty>
      ) : (
        <Panel title="Queues" note={plural(rows.length, "queue")} isOld={silence != null}>
          <Table
            label="Queues"
            rows={rows}
            id={({ name }) => name}
            columns={[
              {
                name: "Queue",
                isMain: true,
                cell: ({ name }: QueueRow) => (
                  <button
                    type="button"
                    class="key link"
                    aria-expanded={chosen?.name === name}
                    onClick={() => setOpen(name)}
                  >
                    {name}
                  </button>
                ),
              },
              // On a phone the last columns are out of sight.
              ...[DEAD, ...STATES.filter((state) => state !== DEAD)].map((state) => ({
                name: state[0]!.toUpperCase() + state.slice(1),
                isFigure: true,
                cell: (row: QueueRow) => (
                  <span class={state === "dead" && row.dead > 0 ? "loud" : undefined}>{count(row[state])}</span>
                ),
              })),
              { name: "Oldest waits", isFigure: true, cell: ({ oldestWaitingMs }) => duration(oldestWaitingMs) },
              {
                name: "State",
                cell: ({ isPaused }) => (
                  <State tone={isPaused ? "warning" : "quiet"}>{isPaused ? "paused" : "running"}</State>
                ),
              },
            ]}
          />
        </Panel>
      )}
      {chosen !== undefined && (
        <OneQueue key={chosen.name} queue={chosen} canWrite={canWrite} isOld={silence != null} />
      )}
    </>
  );
}

function OneQueue(props: {
  readonly queue: QueueRow;
  readonly canWrite: boolean;
  readonly isOld: boolean;
}): JSX.Element | null {
  const { queue, isOld } = props;
  // A change would fail as well.
  const canWrite = props.canWrite && !isOld;
  const [wanted, setState] = useState<JobState>();
  // Jobs may die, or be retried, while the page is open.
  const state = wanted ?? (queue.dead > 0 ? "dead" : "waiting");
  const now = useNow();
  const { answer, error, again } = useAsk<{ readonly jobs: readonly JobRow[] }>(
    "jobs",
    { queue: queue.name, state, limit: 50 },
    2_000,
  );
  const change = async (action: string, id?: string): Promise<string> => {
    const { done } = await ask<{ readonly done: string }>("change-queue", {
      queue: queue.name,
      action,
      ...(id !== undefined && { id }),
    });
    again();
    return done;
  };
  if (isOld && answer === undefined) return null;
  return (
    <Panel isOld={isOld} title={`Jobs of ${queue.name}`} {...(queue[state] > 50 && { note: "the first 50" })}>
      <div class="row fields">
        <Choice
          label="State"
          value={state}
          options={STATES.map((each) => [each, `${each} (${count(queue[each])})`])}
          onChoose={setState}
        />
        {canWrite && (
          <>
            <ConfirmButton
              question={
                queue.isPaused
                  ? `Let workers of all processes take jobs of ${queue.name} again?`
                  : `Let workers of all processes take no more jobs of ${queue.name}?`
              }
              onConfirm={() => change(queue.isPaused ? "resume" : "pause")}
            >
              {queue.isPaused ? "Resume the queue" : "Pause the queue"}
            </ConfirmButton>
            <ConfirmButton
              isOffered={queue.dead > 0}
              question={`Let all ${count(queue.dead)} dead jobs of ${queue.name} wait again, with all their attempts?`}
              onConfirm={() => change("retry-all")}
            >
              Retry all dead jobs
            </ConfirmButton>
          </>
        )}
      </div>
      {error !== undefined && !isOld && <ErrorText>{error}</ErrorText>}
      {answer === undefined ? null : answer.jobs.length === 0 ? (
        <Empty title={`No job is ${state}`} />
      ) : (
        <ul class="jobs">
          {answer.jobs.map((job) => (
            <Job key={job.id} job={job} queue={queue.name} now={now} canWrite={canWrite} onChange={change} />
          ))}
        </ul>
      )}
    </Panel>
  );
}

function Job(props: {
  readonly job: JobRow;
  readonly queue: string;
  readonly now: number;
  readonly canWrite: boolean;
  readonly onChange: (action: string, id: string) => Promise<string>;
}): JSX.Element {
  const { job, now, onChange } = props;
  const [data, setData] = useState<{ readonly text: string; readonly isError: boolean }>();
  const show = async (): Promise<void> => {
    try {
      const { kind, text } = await ask<ValueAnswer>("job-data", { queue: props.queue, id: job.id });
      setData({ text: kind === "missing" ? "There is no such job any more." : text, isError: false });
    } catch (error) {
      setData({ text: (error as Error).message, isError: true });
    }
  };
  return (
    <li>
      <div class="row">
        <span class="key">{job.id}</span>
        <span class="minor">
          attempt {job.attempt} of {job.attempts}, added {ago(job.addedAt, now)}
          {job.finishedAt !== undefined && `, ended ${ago(job.finishedAt, now)}`}
          {job.dueAt !== undefined &&
            (job.state === "delayed"
              ? `, due in ${duration(Math.max(0, job.dueAt - now))}`
              : `, lease ends in ${duration(Math.max(0, job.dueAt - now))}`)}
        </span>
      </div>
      {job.reason !== undefined && (
        <p class="reason">{job.error?.name === undefined ? job.reason : `${job.error.name}: ${job.reason}`}</p>
      )}
      {job.error?.stack !== undefined && (
        <details>
          <summary>Stack</summary>
          <pre class="value-text">{job.error.stack}</pre>
        </details>
      )}
      <div class="row job-actions">
        <button type="button" onClick={() => void show()}>
          Show its data
        </button>
        {props.canWrite && job.state === "dead" && (
          <ConfirmButton
            question="Let this job wait again, with all its attempts?"
            onConfirm={() => onChange("retry", job.id)}
          >
            Retry
          </ConfirmButton>
        )}
        {props.canWrite && job.state === "delayed" && (
          <ConfirmButton question="Make this job due now?" onConfirm={() => onChange("promote", job.id)}>
            Promote
          </ConfirmButton>
        )}
        {props.canWrite && job.state !== "active" && (
          <ConfirmButton question="Remove this job for ever?" onConfirm={() => onChange("remove", job.id)}>
            Remove
          </ConfirmButton>
        )}
      </div>
      {data !== undefined &&
        (data.isError ? <ErrorText>{data.text}</ErrorText> : <pre class="value-text">{data.text}</pre>)}
    </li>
  );
}
