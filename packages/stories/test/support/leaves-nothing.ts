/** For files that share a process: a subscription that one leaves changes what the next one sees. */
import { channel, tracingChannel } from "node:diagnostics_channel";
import { afterAll } from "vitest";
import { EVENTS } from "./watch.ts";

const PLAIN = [...EVENTS, "redis", "produce"].map((name) => channel(`hotset:${name}`));
const TRACING = ["call", "load", "backend", "consume"].map((name) => tracingChannel(`hotset:${name}`));

afterAll(() => {
  const left = [
    ...PLAIN.filter(({ hasSubscribers }) => hasSubscribers).map(({ name }) => name),
    ...TRACING.filter(({ hasSubscribers }) => hasSubscribers).map(({ start }) => start.name),
  ];
  if (left.length !== 0) throw new Error(`The last test of this file left subscribers of ${left.join(", ")}`);
});
