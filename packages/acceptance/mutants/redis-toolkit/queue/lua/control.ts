import type { Breakage } from "../../../mutant.ts";

export const MUTANTS: readonly Breakage[] = [
  {
    name: "queue: each worker adds the job of an instant",
    promises: ["C232"],
    rule: "if not due or tonumber(due) ~= tonumber(ARGV[3]) then return 0 end",
    broken: "if not due then return 0 end",
  },
  {
    name: "queue: a look-up gets any record",
    promises: ["C324"],
    rule: "    local _, record = read(id)\n",
    broken: "    local record = call('HGET', jobs, id)\n",
  },
];
