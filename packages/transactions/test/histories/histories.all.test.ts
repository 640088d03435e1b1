import { expect, it } from "vitest";
import { history } from "./history.ts";

it.each([1, 2])(
  "C745: history %d: processes are killed between each two steps of their transactions, and no change is lost",
  async (seed) => {
    const report = await history(seed, { way: "withTransaction", changes: 8, deaths: 3 });
    expect(report).toMatchObject({ late: [], lost: [], stored: 5, left: 0 });
    expect(report.reads).toBeGreaterThan(500);
    expect(report.commits).toBeGreaterThan(8);
    expect(report.rollbacks).toBeGreaterThan(0);
    expect(report.deaths).toBeGreaterThan(2);
  },
);

it("C745: history 3: Redis is killed and comes back empty, and no change is lost", async () => {
  const report = await history(3, { way: "withTransaction", changes: 8, deaths: 4, redisDies: true });
  expect(report).toMatchObject({ late: [], lost: [], stored: 5, left: 0 });
});

it("the checker finds an invalidation before the commit, which a reader undoes", async () => {
  const { late, lost } = await history(4, { way: "before", changes: 8 });
  expect([...late, ...lost].length).toBeGreaterThan(0);
});

it("the checker finds an invalidation after the commit, which is lost with its process", async () => {
  const { late, lost } = await history(5, { way: "after", changes: 10, deaths: 2, steps: ["committed"] });
  expect([...late, ...lost].length).toBeGreaterThan(0);
});
