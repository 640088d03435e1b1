import { InvalidArgumentError } from "@hotset/core";
import { oneOf } from "@hotset/core/internal";
import { optionsOf, shown } from "../module/module.ts";
import { linesOf } from "./job.ts";
import type { AddOptions } from "./options.ts";

/** Options of the parent of a flow. */
export interface FlowOptions extends Omit<AddOptions, "delay" | "dedupId" | "dedupFor" | "onDuplicate"> {
  /**
   * If a child goes to the dead letters or is removed: `fail` sends the parent to the dead letters immediately, `run` runs
   * it once all other children have ended.
   *
   * @default 'fail'
   */
  readonly onChildFailed?: "fail" | "run" | undefined;
}

/** The parent of a flow, which runs after its children. */
export interface FlowParent<T> {
  /** Data of the job. */
  readonly data: T;
  /** Options of the job, without a delay and a `dedupId`. */
  readonly options?: FlowOptions | undefined;
}

/** A child of a flow. */
export interface FlowChild<T> {
  /** Data of the job. */
  readonly data: T;
  /** Options of the job, without an id and a `dedupId`. */
  readonly options?: Omit<AddOptions, "id" | "dedupId" | "dedupFor" | "onDuplicate"> | undefined;
}

/** The outcome of `addFlow`. */
export interface AddedFlow {
  /** Id of the parent. */
  readonly id: string;
  /** `duplicate`: nothing was added, since there is a job with the id of the parent. */
  readonly status: "added" | "duplicate";
  /** Ids of the children, in their order; none of a duplicate. */
  readonly children: readonly string[];
}

/** How a child of a flow ended. */
export interface ChildOutcome {
  /** Id of the child, as `addFlow` gave it. */
  readonly id: string;
  /** Name of the child, if it has one. */
  readonly name?: string;
  /** `removed`: by `remove` or `drain`. */
  readonly state: "completed" | "dead" | "removed";
  /** What its handler returned; absent for `undefined`, and unless it is completed. */
  readonly result?: unknown;
  /** Why it is dead. */
  readonly reason?: string;
}

export const MAX_CHILDREN = 100;

const PARENT = { onChildFailed: oneOf("fail", "run") };

/** @throws {InvalidArgumentError} for options that a parent cannot have. */
export function parentOptions({ onChildFailed, ...options }: FlowOptions): {
  readonly options: AddOptions;
  readonly runsAnyway: boolean;
} {
  refuse("the parent", options, ["delay", "dedupId", "dedupFor", "onDuplicate"]);
  const read = optionsOf("addFlow(parent, children)", { onChildFailed }, PARENT);
  return { options, runsAnyway: read.onChildFailed === "run" };
}

/** @throws {InvalidArgumentError} for options that a child cannot have. */
export function childOptions(options: FlowChild<unknown>["options"] & object): AddOptions {
  refuse("a child", options, ["id", "dedupId", "dedupFor", "onDuplicate"]);
  return options;
}

function refuse(whose: string, options: object, names: readonly string[]): void {
  const wrong = names.find((name) => (options as Readonly<Record<string, unknown>>)[name] !== undefined);
  if (wrong !== undefined) throw new InvalidArgumentError(`addFlow(parent, children): ${whose} cannot have ${wrong}`);
}

/** @throws {InvalidArgumentError} */
export function checkChildren<T>(children: readonly FlowChild<T>[]): readonly FlowChild<T>[] {
  if (Array.isArray(children) && children.length > 0 && children.length <= MAX_CHILDREN) return children;
  const got = Array.isArray(children) ? `${children.length}` : shown(children);
  throw new InvalidArgumentError(
    `addFlow(parent, children): children must be a list of 1 to ${MAX_CHILDREN}, got ${got}`,
  );
}

const STATES_OF_CHILDREN: readonly unknown[] = ["completed", "dead", "removed"];

/** In the order in which they were added: ids grow. Each line is the JSON of an id, state, name, and result or reason. */
export const readChildren = (lines: Buffer | null): readonly ChildOutcome[] =>
  linesOf(lines)
    .flatMap((parts): ChildOutcome[] => {
      if (!Array.isArray(parts)) return [];
      const [id, state, name, detail] = parts as readonly unknown[];
      if (typeof id !== "string" || !STATES_OF_CHILDREN.includes(state)) return [];
      return [
        {
          id,
          state: state as ChildOutcome["state"],
          ...(typeof name === "string" && name !== "" && { name }),
          ...(state === "completed" && parts.length > 3 && { result: detail }),
          ...(state !== "completed" && typeof detail === "string" && detail !== "" && { reason: detail }),
        },
      ];
    })
    .toSorted((a, b) => (a.id < b.id ? -1 : 1));
