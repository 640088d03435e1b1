import { expect, it } from "vitest";
import { ALTERATIONS } from "./alterations.ts";
import { history } from "./history.ts";

it("C649: no process reads a row older than the bound after its commit, and loses none, while processes and servers are killed and frozen", async () => {
  const report = await history(1, {
    faults: ["follower killed", "Redis killed", "follower frozen", "PostgreSQL killed"],
    everyMs: 1_000,
  });
  expect(report).toMatchObject({ late: [], lost: [], faults: 4 });
  expect(report.reads).toBeGreaterThan(1_000);
  expect(report.commits).toBeGreaterThan(100);
});

it("C644 C649: nor while the table, its partitions and the publication are altered", async () => {
  const report = await history(2, { faults: [...ALTERATIONS, "follower killed", ...ALTERATIONS], everyMs: 1_000 });
  expect(report).toMatchObject({ late: [], lost: [], faults: 15 });
  expect(report.reads).toBeGreaterThan(1_000);
  expect(report.commits).toBeGreaterThan(100);
});
