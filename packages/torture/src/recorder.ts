import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import type { Change, Failure, Incident, Load, Read, Removal, Sighting, Stall } from "./history.ts";

/**
 * One line of a process's file. A call that ends later than it begins has two lines: a process may be killed in
 * between.
 */
export type Note =
  | { readonly t: "read"; readonly read: Read }
  | { readonly t: "change"; readonly change: Change }
  | { readonly t: "changed"; readonly id: string; readonly end: Pick<Change, "endedAt" | "status" | "error"> }
  | { readonly t: "load"; readonly load: Load }
  | {
      readonly t: "loaded";
      readonly id: string;
      readonly end: Pick<Load, "endedAt" | "version" | "isToStore" | "givenUpAt">;
    }
  | { readonly t: "sighting"; readonly sighting: Sighting }
  | { readonly t: "failure"; readonly failure: Failure }
  | { readonly t: "incident"; readonly incident: Incident }
  | { readonly t: "stall"; readonly stall: Stall }
  | { readonly t: "removal"; readonly removal: Removal };

/** Writes immediately: the file of a killed process has all that it knew. */
export class Recorder {
  readonly #file: number;

  constructor(path: string) {
    this.#file = openSync(path, "a");
  }

  note(note: Note): void {
    writeSync(this.#file, `${JSON.stringify(note)}\n`);
  }

  close(): void {
    closeSync(this.#file);
  }
}

export interface Recorded {
  readonly reads: Read[];
  readonly changes: Change[];
  readonly loads: Load[];
  readonly sightings: Sighting[];
  readonly failures: Failure[];
  readonly incidents: Incident[];
  readonly stalls: Stall[];
  readonly removals: Removal[];
}

/** The notes of several processes, each kind in the order of time. */
export function recorded(paths: readonly string[]): Recorded {
  const all: Recorded = {
    reads: [],
    changes: [],
    loads: [],
    sightings: [],
    failures: [],
    incidents: [],
    stalls: [],
    removals: [],
  };
  for (const path of paths) {
    const changes = new Map<string, Change>();
    const loads = new Map<string, Load>();
    for (const line of readFileSync(path, "utf8").split("\n")) {
      // The last line of a process that was killed may be half of one.
      const note = parsed(line);
      switch (note?.t) {
        case "read":
          all.reads.push(note.read);
          break;
        case "change":
          changes.set(note.change.id, note.change);
          break;
        case "changed":
          changes.set(note.id, { ...changes.get(note.id)!, ...note.end });
          break;
        case "load":
          loads.set(note.load.id, note.load);
          break;
        case "loaded":
          loads.set(note.id, { ...loads.get(note.id)!, ...note.end });
          break;
        case "sighting":
          all.sightings.push(note.sighting);
          break;
        case "failure":
          all.failures.push(note.failure);
          break;
        case "incident":
          all.incidents.push(note.incident);
          break;
        case "stall":
          all.stalls.push(note.stall);
          break;
        case "removal":
          all.removals.push(note.removal);
          break;
        case undefined:
          break;
      }
    }
    all.changes.push(...changes.values());
    all.loads.push(...loads.values());
  }
  for (const list of [all.reads, all.changes, all.loads])
    (list as { startedAt: number }[]).sort((a, b) => a.startedAt - b.startedAt);
  for (const list of [all.sightings, all.failures, all.incidents])
    (list as { at: number }[]).sort((a, b) => a.at - b.at);
  return all;
}

function parsed(line: string): Note | undefined {
  try {
    return line === "" ? undefined : (JSON.parse(line) as Note);
  } catch {
    return undefined;
  }
}
