import type { Section } from "../row.ts";

const figures = "docs/performance.md, with the machine, the yardstick of the server and what was not reached";

export const SECTION: Section = {
  title: "RedisUtils: figures",
  rows: [
    { id: "R3-31", what: "100,000 and more operations a second", open: figures },
    { id: "R3-32", what: "p99 below 1 ms", open: figures },
    { id: "R3-33", what: "less than 50 MB", open: figures },
    { id: "R3-34", what: "10 to 500 connections", open: figures },
    { id: "R3-35", what: "automatic failover", open: figures },
    { id: "R3-36", what: "a yardstick of the same machine beside each figure", open: figures },
  ],
};
