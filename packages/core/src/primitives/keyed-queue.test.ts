import { expect, it } from "vitest";
import { Chains } from "./keyed-queue.ts";
import { gate } from "../testing/gate.ts";
import { flush, outcome } from "../testing/outcome.ts";

it("runs at once where nothing of the key is under way", () => {
  const chains = new Chains();
  let hasRun = false;
  void chains.run("k", async () => void (hasRun = true));
  expect(hasRun).toBe(true);
});

it("runs the writes of one key in the order they were called, and those of others meanwhile", async () => {
  const chains = new Chains();
  const order: string[] = [];
  const gates = [gate(), gate(), gate()] as const;
  const runs = gates.map((each, i) =>
    chains.run("k", async () => {
      order.push(`begins ${i}`);
      await each.pass();
      order.push(`ends ${i}`);
      return i;
    }),
  );
  gates[2].open();
  gates[1].open();
  await chains.run("other", async () => void order.push("other"));
  await flush();
  expect(order).toEqual(["begins 0", "other"]);
  gates[0].open();
  expect(await Promise.all(runs)).toEqual([0, 1, 2]);
  expect(order.slice(2)).toEqual(["ends 0", "begins 1", "ends 1", "begins 2", "ends 2"]);
});

it("goes on after a failure, which is its caller's alone", async () => {
  const chains = new Chains();
  const failure = new Error("lost");
  const first = chains.run("k", () => Promise.reject(failure));
  const second = chains.run("k", async () => 2);
  expect(await Promise.all([outcome(first), outcome(second)])).toEqual([
    { status: "rejected", reason: failure },
    { status: "fulfilled", value: 2 },
  ]);
});

it("keeps nothing of writes that are settled", async () => {
  const chains = new Chains();
  const slow = gate();
  const runs = [
    chains.run("a", slow.pass),
    chains.run("a", () => Promise.reject(new Error("lost"))).catch(() => undefined),
    chains.run("b", async () => undefined),
  ];
  expect(chains.size).toBe(3);
  slow.open();
  await Promise.all(runs);
  await flush();
  expect(chains.size).toBe(0);
});

it("tells when all that has begun is settled, failures included", async () => {
  const chains = new Chains();
  await chains.settled();
  const slow = gate();
  void chains.run("a", slow.pass);
  chains.run("b", () => Promise.reject(new Error("lost"))).catch(() => undefined);
  const settled = chains.settled();
  expect(await outcome(settled)).toEqual({ status: "pending" });
  slow.open();
  await settled;
  expect(chains.size).toBe(0);
});
