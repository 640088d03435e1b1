import type { Section } from "../row.ts";

const open = "not measured on a quiet machine with the yardstick of the server beside it";

export const SECTION: Section = {
  title: "RedisUtils: figures",
  rows: [
    { id: "R3-31", what: "100,000 and more operations a second", open },
    { id: "R3-32", what: "p99 below 1 ms", open },
    { id: "R3-33", what: "less than 50 MB", open },
    { id: "R3-34", what: "10 to 500 connections", open },
    {
      id: "R3-35",
      what: "automatic failover",
      here: "`sentinels` or `cluster`: the successor of a primary that dies is found",
      module: "@hotset/redis",
      test: ["packages/redis/test/sentinel.integration.test.ts", "finds the successor of a primary that dies"],
    },
    { id: "R3-36", what: "a yardstick of the same machine beside each figure", open },
  ],
};
