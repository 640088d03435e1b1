import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import type { Change, Failure, Incident, Load, Read, Removal, Sighting, Stall } from "./history.ts";

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

interface Noted {
  readonly process?: string;
  readonly id?: string;
  readonly startedAt?: number;
  readonly at?: number;
}

/** A line of a process's file: an event, or more about one. */
interface Note {
  readonly list: keyof Recorded;
  readonly event: Noted;
  readonly isMore?: true;
}

/** Writes immediately: the file of a killed process has all that it knew. */
export class Recorder {
  readonly #file: number;

  constructor(path: string) {
    this.#file = openSync(path, "a");
  }

  note<K extends keyof Recorded>(list: K, event: Recorded[K][number]): void {
    this.#write({ list, event });
  }

  /** More about a call that began before: its process may be killed in between. */
  add<K extends "changes" | "loads">(list: K, id: string, event: Partial<Recorded[K][number]>): void {
    this.#write({ list, event: { ...event, id }, isMore: true });
  }

  close(): void {
    closeSync(this.#file);
  }

  #write(note: Note): void {
    writeSync(this.#file, `${JSON.stringify(note)}\n`);
  }
}

/** The notes of several processes, each kind in the order of time. */
export function recorded(paths: readonly string[]): Recorded {
  const lists = "reads changes loads sightings failures incidents stalls removals".split(" ");
  const all = Object.fromEntries(lists.map((list) => [list, [] as Noted[]]));
  for (const path of paths) {
    const calls = new Map<string, Noted>();
    for (const line of readFileSync(path, "utf8").split("\n")) {
      // The last line of a process that was killed may be half of one.
      const note = parsed(line);
      if (note === undefined) continue;
      const { list, event, isMore } = note;
      const call = `${list} ${event.id}`;
      if (isMore === true) Object.assign(calls.get(call)!, event);
      else {
        all[list]!.push(event);
        calls.set(call, event);
      }
    }
  }
  for (const list of Object.values(all)) list.sort((a, b) => instantOf(a) - instantOf(b));
  return all as unknown as Recorded;
}

const instantOf = ({ startedAt, at }: Noted): number => startedAt ?? at ?? 0;

function parsed(line: string): Note | undefined {
  try {
    return line === "" ? undefined : (JSON.parse(line) as Note);
  } catch {
    return undefined;
  }
}
