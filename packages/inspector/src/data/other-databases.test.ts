import { expect, it } from "vitest";
import { lookElsewhere } from "./other-databases.ts";

type Connection = Parameters<typeof lookElsewhere>[0];

const connectionOf = (answers: Readonly<Record<string, unknown>>, isCluster = false): Connection => ({
  isCluster,
  each: async (task) => [
    await task({
      call: ([command, , , ...keys]: readonly string[]) => {
        if (command === "EVAL") return Promise.resolve(keys[0] === "hotset:shop:~processes::0" ? 2 : 0);
        const answer = answers[command!];
        return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
      },
    } as unknown as Parameters<typeof task>[0]),
  ],
});
const WELL = { CLIENT: "id=3 addr=127.0.0.1:1 db=0 sub=0", INFO: "# Keyspace\r\ndb0:keys=9\r\ndb4:keys=2\r\n" };

it("counts the records of each cache in the other databases that have keys", async () => {
  expect(await lookElsewhere(connectionOf(WELL), ["hotset:shop", "hotset:blog"])).toEqual([
    { owner: "hotset:shop", own: 0, database: 4, processes: 2 },
  ]);
});

it.each<[what: string, connection: Connection]>([
  ["a cluster, which has one", connectionOf(WELL, true)],
  ["one database alone", connectionOf({ ...WELL, INFO: "# Keyspace\r\ndb0:keys=9\r\n" })],
  ["a user that may not ask", connectionOf({ ...WELL, INFO: new Error("NOPERM") })],
])("finds nothing in %s", async (_, connection) => {
  expect(await lookElsewhere(connection, ["hotset:shop"])).toEqual([]);
});
