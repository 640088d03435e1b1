import { beforeEach, describe, expect, it } from "vitest";
import { ServerIdentityGuard, type Identity, type TrackedConnection } from "./server-identity-guard.ts";

const server = (runId: string, history = "h1"): Identity => ({ runId, history: `${runId} ${history}` });
const UNIDENTIFIED: Identity = { runId: undefined, history: undefined };

describe("the connections of one link", () => {
  const reported: string[] = [];
  let guard: ServerIdentityGuard;
  const connection = (name: string, isDataConnection: boolean): TrackedConnection => ({
    isDataConnection,
    distrust: () => void reported.push(`${name} distrusted`),
  });
  const data = connection("data", true);
  const channel = connection("channel", false);
  beforeEach(() => {
    reported.splice(0);
    guard = new ServerIdentityGuard(() => void reported.push("replaced"));
  });

  it("C91 report nothing while they lead to one server, however often they are made anew", () => {
    guard.up(data, server("a"));
    guard.up(channel, server("a"));
    guard.down(data);
    guard.up(data, server("a"));
    expect([reported, guard.leadsToOneServer]).toEqual([[], true]);
  });

  it("C91 report another server once, by the first connection that shows it, and drop the others", () => {
    guard.up(data, server("a"));
    guard.up(channel, server("a"));
    guard.up(data, server("b"));
    expect([reported, guard.leadsToOneServer]).toEqual([["replaced", "channel distrusted"], false]);
    guard.down(channel);
    guard.up(channel, server("b"));
    expect([reported, guard.leadsToOneServer]).toEqual([["replaced", "channel distrusted"], true]);
  });

  it("C91 report it again when the data connection follows: invalidations issued again meanwhile went to the old server", () => {
    guard.up(data, server("a"));
    guard.up(channel, server("a"));
    guard.up(channel, server("b"));
    expect([reported, guard.leadsToOneServer]).toEqual([["replaced", "data distrusted"], false]);
    guard.down(data);
    guard.up(data, server("b"));
    expect([reported, guard.leadsToOneServer]).toEqual([["replaced", "data distrusted", "replaced"], true]);
  });

  it("C91 report a promoted replica, to which they lead already", () => {
    guard.up(data, server("a"));
    guard.up(channel, server("a"));
    guard.up(data, server("a", "h2"));
    expect([reported, guard.leadsToOneServer]).toEqual([["replaced"], true]);
  });

  it("C91 ignore a lost one, and prove nothing while the data connection is down: the next one may lead to another server", () => {
    guard.up(data, server("a"));
    guard.up(channel, server("a"));
    guard.down(channel);
    guard.up(data, server("b"));
    expect([reported, guard.leadsToOneServer]).toEqual([["replaced"], true]);
    guard.up(channel, server("b"));
    guard.down(data);
    expect(guard.leadsToOneServer).toBe(false);
    guard.up(data, server("b"));
    expect([reported, guard.leadsToOneServer]).toEqual([["replaced"], true]);
  });

  it("C91 take an unidentified server for another one each time that the data connection is made anew, and for the same one on others", () => {
    guard.up(data, UNIDENTIFIED);
    guard.up(channel, UNIDENTIFIED);
    guard.up(channel, UNIDENTIFIED);
    expect(reported).toEqual([]);
    guard.up(data, UNIDENTIFIED);
    expect([reported, guard.leadsToOneServer]).toEqual([["replaced", "channel distrusted"], true]);
  });
});
