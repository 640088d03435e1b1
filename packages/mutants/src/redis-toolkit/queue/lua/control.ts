import type { Breakage } from "../../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "queue: each worker adds the job of an instant",
    promises: ["C232"],
    rule: "if not due or tonumber(due) ~= tonumber(ARGV[3]) or",
    broken: "if not due or",
  },
  {
    name: "queue: a look-up gets any record",
    promises: ["C324"],
    rule: "    local _, record = read(id)\n",
    broken: "    local record = call('HGET', jobs, id)\n",
  },
  {
    name: "queue: a worker adds the job of a repeat that was replaced meanwhile",
    promises: ["C377"],
    rule: " or call('HGET', repeats, ARGV[2]) ~= ARGV[4] then return 0 end",
    broken: " then return 0 end",
  },
  {
    name: "queue: a dead letter that is replayed does not hold its dedup id",
    promises: ["C386"],
    rule: "    if job.dedup and not job.dedupEnds and not holder(job.dedup) then hold(job.dedup, id, 0) end\n",
    broken: "",
  },
  {
    name: "queue: a dead letter that is replayed takes its dedup id from another job",
    promises: ["C386"],
    rule: " and not holder(job.dedup) then",
    broken: " then",
  },
  {
    name: "queue: a member of another program keeps a queue from being counted",
    promises: ["C324"],
    rule: "if addedAt and (oldest < 0 or addedAt < oldest) then",
    broken: "if oldest < 0 or addedAt < oldest then",
  },
  {
    name: "queue: counts of a queue with a score beyond all others never end",
    promises: ["C324"],
    rule: "from = above > score and whole(above) or '(' .. next[2]",
    broken: "from = whole(above)",
  },
  {
    name: "queue: a removed job keeps its dedup id",
    promises: ["C484"],
    rule: "if job then free(id, job) end",
    broken: "if job then release(id, job) end",
  },
  {
    name: "queue: a drained job keeps its dedup id",
    promises: ["C484"],
    rule: "if job then free(popped[i], job) end",
    broken: "if job then release(popped[i], job) end",
  },
  {
    name: "queue: a repeat with other data starts its interval again",
    promises: ["C487"],
    rule: "if isDue and string.sub(former, 1, #ARGV[5]) == ARGV[5] then return 1 end",
    broken: "",
  },
  {
    name: "queue: jobs of a repeat pile up",
    promises: ["C487"],
    rule: "if not last or last.attempt > 0 then",
    broken: "if true then",
  },
  {
    name: "queue: a running job of a repeat counts as one that waits",
    promises: ["C487"],
    rule: "if not last or last.attempt > 0 then",
    broken: "if not last then",
  },
];
