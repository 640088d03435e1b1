import type { Breakage } from "../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "queue: a job that the stop of its worker has failed waits for its back-off",
    promises: ["C233"],
    rule: 'if (this.#isStopping) return this.#outcome("return", "");',
    broken: "",
  },
  {
    name: "queue: an unrecoverable job is tried again",
    promises: ["A57"],
    rule: "attempts || isUnrecoverable(error)) return",
    broken: "attempts) return",
  },
  {
    name: "queue: a job whose handler threw what cannot be looked at is never tried again",
    promises: ["C368"],
    rule: "  } catch {\n    return false;",
    broken: "  } catch {\n    return true;",
  },
  {
    name: "queue: the timeout of the worker's queue does not count",
    promises: ["C486"],
    rule: "record.timeout ?? this.#settings.timeoutMs",
    broken: "record.timeout",
  },
];
