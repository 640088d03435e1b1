import { expect, it } from "vitest";
import { startOwnPostgres } from "@hotset/test-servers";

it("starts a PostgreSQL that can be killed, paused and started again with its data", async () => {
  await using server = await startOwnPostgres({ config: ["max_connections = 17"] });
  expect(await server.query("show max_connections")).toEqual([{ max_connections: "17" }]);
  await server.query("create table kept as select 7 as n");
  await server.kill();
  await expect(server.query("select 1")).rejects.toThrow("ECONNREFUSED");
  await server.start();
  expect(await server.query("select n from kept")).toEqual([{ n: 7 }]);

  await server.pause();
  const late = server.query("select 8 as n");
  const first = await Promise.race([late, new Promise((resolve) => setTimeout(resolve, 300, "silent"))]);
  expect(first).toBe("silent");
  await server.resume();
  expect(await late).toEqual([{ n: 8 }]);
  await server.restart();
  expect(await server.query("select n from kept")).toEqual([{ n: 7 }]);
});

it("one that does not start is a failure with the end of its log, without a wait", async () => {
  await expect(startOwnPostgres({ config: ["no_such_setting = 1"] })).rejects.toThrow(
    /^PostgreSQL has ended\. End of its log:\n.*unrecognized configuration parameter "no_such_setting"/s,
  );
}, 10_000);
