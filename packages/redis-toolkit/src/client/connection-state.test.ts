import { expect, it } from "vitest";
import { ConnectionState, type Reset } from "./connection-state.ts";

it.each<readonly [string, Reset]>([
  ["", "none"],
  ["GET", "none"],
  ["WATCH", "UNWATCH"],
  ["watch", "UNWATCH"],
  ["WATCH UNWATCH", "none"],
  ["MULTI", "DISCARD"],
  ["WATCH MULTI", "DISCARD"],
  // Queued, and not executed.
  ["WATCH MULTI UNWATCH", "DISCARD"],
  ["WATCH MULTI UNWATCH EXEC", "none"],
  ["WATCH MULTI DISCARD", "none"],
  // Refused: nothing was begun.
  ["WATCH EXEC", "UNWATCH"],
  ["WATCH DISCARD", "UNWATCH"],
  ["MULTI EXEC MULTI", "DISCARD"],
  ["SELECT", "impossible"],
  ["client", "impossible"],
  ["SUBSCRIBE UNSUBSCRIBE", "impossible"],
  ["SELECT GET", "impossible"],
  ["SELECT MULTI EXEC", "impossible"],
])("after [%s] a connection becomes as it was by %s", (commands, reset) => {
  const state = new ConnectionState();
  for (const command of commands.split(" ")) state.sent(command);
  expect(state.reset).toBe(reset);
});
