import { beforeEach, describe, expect, it } from "vitest";
import { ServerIdentityGuard, type Identity, type TrackedConnection } from "./server-identity-guard.ts";

const server = (runId: string, history = "h1"): Identity => ({ runId, history: `${runId} ${history}` });
const UNTOLD: Identity = { runId: undefined, history: undefined };

describe("the connections of one link", () => {
  const told: string[] = [];
  let one: ServerIdentityGuard;
  const member = (name: string, isDataConnection: boolean): TrackedConnection => ({
    isDataConnection,
    distrust: () => void told.push(`${name} distrusted`),
  });
  const calls = member("calls", true);
  const ear = member("ear", false);
  beforeEach(() => {
    told.splice(0);
    one = new ServerIdentityGuard(() => void told.push("replaced"));
  });

  it("C91 say nothing while they lead to one server, however often they are made anew", () => {
    one.up(calls, server("a"));
    one.up(ear, server("a"));
    one.down(calls);
    one.up(calls, server("a"));
    expect([told, one.leadsToOneServer]).toEqual([[], true]);
  });

  it("C91 tell of another server once, by whichever connection that shows first, and leave the others behind", () => {
    one.up(calls, server("a"));
    one.up(ear, server("a"));
    one.up(calls, server("b"));
    expect([told, one.leadsToOneServer]).toEqual([["replaced", "ear distrusted"], false]);
    one.down(ear);
    one.up(ear, server("b"));
    expect([told, one.leadsToOneServer]).toEqual([["replaced", "ear distrusted"], true]);
  });

  it("C91 tell of it again when the calls follow: what was issued again meanwhile went to the old server", () => {
    one.up(calls, server("a"));
    one.up(ear, server("a"));
    one.up(ear, server("b"));
    expect([told, one.leadsToOneServer]).toEqual([["replaced", "calls distrusted"], false]);
    one.down(calls);
    one.up(calls, server("b"));
    expect([told, one.leadsToOneServer]).toEqual([["replaced", "calls distrusted", "replaced"], true]);
  });

  it("C91 tell of a promoted replica, to which they lead already", () => {
    one.up(calls, server("a"));
    one.up(ear, server("a"));
    one.up(calls, server("a", "h2"));
    expect([told, one.leadsToOneServer]).toEqual([["replaced"], true]);
  });

  it("C91 count one that is lost no longer, and give no proof while calls have no connection: the next one may lead elsewhere", () => {
    one.up(calls, server("a"));
    one.up(ear, server("a"));
    one.down(ear);
    one.up(calls, server("b"));
    expect([told, one.leadsToOneServer]).toEqual([["replaced"], true]);
    one.up(ear, server("b"));
    one.down(calls);
    expect(one.leadsToOneServer).toBe(false);
    one.up(calls, server("b"));
    expect([told, one.leadsToOneServer]).toEqual([["replaced"], true]);
  });

  it("C91 take a server that does not tell for another one each time that calls are connected anew, and for the same where changes are heard", () => {
    one.up(calls, UNTOLD);
    one.up(ear, UNTOLD);
    one.up(ear, UNTOLD);
    expect(told).toEqual([]);
    one.up(calls, UNTOLD);
    expect([told, one.leadsToOneServer]).toEqual([["replaced", "ear distrusted"], true]);
  });
});
