import { describe, expect, it } from "vitest";
import { logClient, questionClient } from "./pool.ts";

interface Parameters {
  readonly options: string;
  readonly application_name: string;
  readonly statement_timeout: unknown;
  readonly query_timeout: unknown;
  readonly database: string;
  readonly replication: string;
}

const parametersOf = (client: object): Parameters =>
  (client as { readonly connectionParameters: Parameters }).connectionParameters;

const poolOf = (options: object) => ({ options, query: () => Promise.reject(new Error("not asked")) });

describe("C649 connections of a follower", () => {
  it.each<[where: string, options: object]>([
    [
      "in the URL",
      { connectionString: "postgres://u@h/shop?options=-c%20wal_sender_timeout%3D9000&application_name=x" },
    ],
    ["in the options of the pool", { database: "shop", options: "-c wal_sender_timeout=9000", application_name: "x" }],
  ])("keep their deadlines where others are set %s", (_where, options) => {
    const log = parametersOf(logClient(poolOf(options), 5_000));
    expect(log.options).toBe(
      "-c wal_sender_timeout=9000 -c statement_timeout=0 -c wal_sender_timeout=5000 -c idle_session_timeout=20000",
    );
    expect(log).toMatchObject({ application_name: "hotset follow", replication: "database", database: "shop" });
    const questions = parametersOf(questionClient(poolOf(options), 5_000));
    expect(questions.options).toMatch(/-c idle_session_timeout=5000 -c lock_timeout=1000$/);
    expect(questions.application_name).toBe("hotset follow questions");
  });

  it("have no timeout of the pool, and what else is in its URL", () => {
    const url = "postgres://u@h/shop?statement_timeout=10&query_timeout=10&sslmode=no-verify";
    const log = logClient(poolOf({ connectionString: url, statement_timeout: 20, query_timeout: 20 }), 5_000);
    expect(parametersOf(log)).toMatchObject({ statement_timeout: false, query_timeout: false });
    expect((log as unknown as { ssl: unknown }).ssl).toEqual({ rejectUnauthorized: false });
  });
});
