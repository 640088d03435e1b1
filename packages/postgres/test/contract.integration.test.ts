import { postgres, schema as sqlOf } from "@hotset/postgres";
import { randomPrefix, startPostgres, startProxy } from "@hotset/test-servers";
import { describeBackend } from "@hotset/testing/contract-suites";
import { afterAll, onTestFinished } from "vitest";

const server = await startPostgres();
afterAll(() => server.stop());

let schema: string | undefined;
describeBackend("postgres", {
  open: async () => {
    if (schema === undefined) {
      schema = randomPrefix();
      await server.query(sqlOf({ schema }));
    }
    const tables = ["entries", "leases", "tags", "issuer", "log", "polled"];
    await server.query(tables.map((table) => `delete from ${schema}.${table}`).join(";"));
    // On a busy machine 8 MiB take longer than a second.
    return postgres({ url: server.url, schema, deadline: "5s" });
  },
  openPeer: () => postgres({ url: server.url, schema }),
  promises: ["one load", "deletes hold", "tags hold", "copies follow"],
  cut: async () => void (await server.query(END_LISTENERS)),
  async delayed() {
    const { hostname, port, pathname, username, password } = new URL(server.url);
    const proxy = await startProxy({ host: hostname, port: Number(port) });
    onTestFinished(() => proxy.close());
    const url = `postgres://${username}:${password}@127.0.0.1:${proxy.port}${pathname}`;
    return {
      backend: postgres({ url, schema: schema! }),
      delay: (ms: number) => (ms === Infinity ? proxy.swallow() : proxy.delay({ toClient: ms })),
    };
  },
  expiry: "server",
  unreachable: () => postgres({ url: "postgres://nobody@127.0.0.1:1/none" }),
});

/** Cuts the links of all processes: each connection whose last statement was one of those of a link. */
const END_LISTENERS = `select pg_terminate_backend(pid) from pg_stat_activity
  where application_name = 'hotset' and query ~ 'pg_postmaster_start_time|pg_notify|select 1'`;
