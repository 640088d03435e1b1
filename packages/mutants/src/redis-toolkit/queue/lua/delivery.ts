import type { Breakage } from "../../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "queue: the report of a worker that has lost the job is accepted",
    promises: ["A58"],
    rule: "if not job or job.token ~= owner then return 0 end",
    broken: "if not job then return 0 end",
  },
  {
    name: "queue: a full server refuses heartbeats",
    promises: ["A59"],
    rule: "    call('ZREM', waiting, id)\n    call('ZADD', active",
    broken: "    call('ZADD', active",
  },
  {
    name: "queue: a job that ends each worker is delivered for ever",
    promises: ["A56"],
    rule: "elseif job.attempt >= job.attempts then",
    broken: "elseif false then",
  },
  {
    name: "queue: leases that have ended are not looked for",
    promises: ["A56"],
    rule: "  reclaim()\n",
    broken: "",
  },
  {
    name: "queue: a paused queue delivers",
    promises: ["A60"],
    rule: "  if not isPaused() then\n    taken",
    broken: "  if true then\n    taken",
  },
  {
    name: "queue: the count of a rate begins anew with each exchange",
    promises: ["A60"],
    rule: "'rateCount', used + #taken / 3)",
    broken: "'rateCount', used)",
  },
  {
    name: "queue: a report after the end of a lease is refused",
    promises: ["C419"],
    rule: "if not job or job.token ~= owner then return 0 end",
    broken: "if not job or job.token ~= owner or now >= tonumber(call('ZSCORE', active, id) or 0) then return 0 end",
  },
  {
    name: "queue: a job whose lease has ended cannot be reported, though no other worker has it",
    promises: ["C419"],
    rule: "    else call('ZADD', waiting, job.order or 0, id) end\n",
    broken:
      "    else\n      job.token = nil\n      write(id, job)\n      call('ZADD', waiting, job.order or 0, id)\n    end\n",
  },
  {
    name: "queue: a job that is reported while it waits for another worker still waits",
    promises: ["C419"],
    rule: "if call('ZREM', active, id) == 0 then call('ZREM', waiting, id) end",
    broken: "call('ZREM', active, id)",
  },
  {
    name: "queue: a job whose lease is extended while it waits for another worker still waits",
    promises: ["C419"],
    rule: "    call('ZREM', waiting, id)\n    call('ZADD', active,",
    broken: "    call('ZADD', active,",
  },
  {
    name: "queue: attempts of the worker's queue do not count where the producer gave none",
    promises: ["C486"],
    rule: "if job.anyAttempts and attempts then job.attempts = attempts end",
    broken: "",
  },
  {
    name: "queue: attempts of the worker's queue replace those of the producer",
    promises: ["C486"],
    rule: "if job.anyAttempts and attempts then",
    broken: "if attempts then",
  },
  {
    name: "queue: what the producer keeps does not count where the worker says nothing",
    promises: ["C486"],
    rule: "if own then count, age = own[1], own[2] else",
    broken: "if false then else",
  },
];
