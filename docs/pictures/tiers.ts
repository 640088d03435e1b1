import { arrow, box, text, type Picture } from "./draw.ts";

export const tiers: Picture = {
  title: "Memory in each process, over one Redis, over your source",
  description:
    "Two processes, A and B. Each has a memory of its own with live values. A miss in memory goes down to Redis, " +
    "which both share and which " +
    "holds encoded values. A miss in Redis goes down to your source, a database or another service: one process " +
    "loads the value, the other " +
    "waits for it. When a key changes, Redis sends a message up to each process that has read it, and that process " +
    "drops its copy.",
  height: 372,
  parts: [
    box([8, 10, 166, 112], "process", ["process A"], "holder"),
    box([186, 10, 166, 112], "process", ["process B"], "holder"),
    box([20, 46, 142, 62], "good", ["memory", "live values"]),
    box([198, 46, 142, 62], "good", ["memory", "live values"]),

    arrow([60, 124], [60, 196]),
    text([68, 150], "a miss"),
    text([68, 166], "in memory"),
    arrow([300, 196], [300, 124], "message"),
    text([292, 150], '"this key has', "end"),
    text([292, 166], 'changed": drop it', "end"),

    box([8, 200, 344, 58], "store", ["Redis", "encoded values, shared by all processes"]),

    arrow([60, 260], [60, 310]),
    text([68, 282], "a miss in Redis: one process loads,"),
    text([68, 298], "the others wait for its result"),

    box([8, 314, 344, 48], "page", ["your source", "a database, a service, a computation"]),
  ],
};
