import { arrow, box, text, type Picture } from "./draw.ts";

export const breaker: Picture = {
  title: "The circuit breaker of a backend",
  description:
    "Three states. Closed: calls use the backend. After five failures in a row it is open: calls don't wait for the " +
    "backend. After 1 s one call is the probe. If it is answered, the breaker is closed again; if it fails, the " +
    "breaker is open for twice as long as before, at most 30 s.",
  height: 272,
  parts: [
    box([8, 10, 210, 48], "good", ["closed", "calls use the backend"]),
    arrow([48, 59], [48, 111]),
    text([56, 89], "5 failures in a row"),
    box([8, 112, 210, 48], "store", ["open", "calls don't wait for it"]),
    arrow([48, 161], [48, 213]),
    text([56, 191], "after 1 s"),
    arrow([140, 213], [140, 161]),
    text([148, 183], "failed: twice the"),
    text([148, 199], "wait, at most 30 s"),
    box([8, 214, 210, 48], "warn", ["probe", "one call tries"]),
    arrow([218, 238], [340, 238], "time"),
    arrow([340, 238], [340, 34], "time"),
    arrow([340, 34], [219, 34]),
    text([332, 52], "answered", "end"),
  ],
};
