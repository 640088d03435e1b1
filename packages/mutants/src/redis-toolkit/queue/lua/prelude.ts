import type { Breakage } from "../../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "queue: the newest job is delivered first",
    promises: ["A57"],
    rule: "2 ^ 45 + place)",
    broken: "2 ^ 45 - place)",
  },
  {
    name: "queue: lower priorities are delivered first",
    promises: ["A57"],
    rule: "whole((255 - priority) *",
    broken: "whole(priority *",
  },
  {
    name: "queue: a delayed job is due at once",
    promises: ["A57"],
    rule: "call('ZADD', delayed, whole(now + ms), id)",
    broken: "call('ZADD', delayed, whole(now), id)",
  },
  {
    name: "queue: a full server takes jobs",
    promises: ["A59"],
    rule: "  local place = draw()\n",
    broken: "  mayGrow()\n  local place = draw()\n",
  },
  {
    name: "queue: a dedup id with an end ends with its job",
    promises: ["A60"],
    rule: "if not job.dedupEnds then free(id, job) end",
    broken: "free(id, job)",
  },
  {
    name: "queue: finished jobs are kept without bound",
    promises: ["C230"],
    rule: "if count >= 0 and surplus > 0 then",
    broken: "if false then",
  },
  {
    name: "queue: the data of a job outlives it",
    promises: ["C230"],
    rule: "  call('HDEL', jobs, id)\n  call('HDEL', data, id)\n",
    broken: "  call('HDEL', jobs, id)\n",
  },
  {
    name: "queue: any record is delivered",
    promises: ["C324"],
    rule: "if isJson and isRecord(job) and",
    broken: "if isJson and type(job) == 'table' and job.attempt and",
  },
  {
    name: "queue: a record that cannot be written is delivered",
    promises: ["C324"],
    rule: " and pcall(cjson.encode, job) then return",
    broken: " then return",
  },
  {
    name: "queue: a removed job frees the dedup id of another one",
    promises: ["C484"],
    rule: "if not job.dedup or call('HGET', dedup, job.dedup) ~= id then return end",
    broken: "if not job.dedup then return end",
  },
  {
    name: "queue: jobs that are due in one millisecond are in the order of their ids as text",
    promises: ["C485"],
    rule: "string.format('%.0f-%012.0f', now, place)",
    broken: "whole(now) .. '-' .. whole(place)",
  },
];
