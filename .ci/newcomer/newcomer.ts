import type { Project } from "./project.ts";

/** The tools of a step of the newcomer. */
export interface Newcomer {
  /** A new project. */
  project(name: string, manifest?: object): Project;
  /** Runs a step, if it is wanted, and reports how it went. */
  step(name: string, work: () => Promise<void>): Promise<void>;
  check(condition: boolean, message: string): void;
}
