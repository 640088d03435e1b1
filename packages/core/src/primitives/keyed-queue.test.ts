import { flush, gate, outcome } from "@hotset/testing";
import { expect, it } from "vitest";
import { KeyedQueue, type Turn } from "./keyed-queue.ts";

it("runs at once if the key has no write in progress", () => {
  const writes = new KeyedQueue();
  let hasRun = false;
  void writes.run("k", async () => void (hasRun = true));
  expect(hasRun).toBe(true);
});

it("has a key from the call of a write, also inside of that call, to its end", async () => {
  const writes = new KeyedQueue();
  const seen: boolean[] = [];
  const end = gate();
  const write = writes.run("k", async () => {
    void writes.run("j", async () => void seen.push(writes.has("j")));
    seen.push(writes.has("k"));
    await end.pass();
  });
  expect([writes.has("k"), writes.has("i")]).toEqual([true, false]);
  end.open();
  await write;
  await flush();
  expect([seen, writes.has("k"), writes.has("j")]).toEqual([[true, true], false, false]);
});

it("gives a turn at once if the key has no write in progress, else after the earlier ones", async () => {
  const writes = new KeyedQueue();
  const first = writes.turn("k");
  const second = writes.turn("k");
  expect([first instanceof Promise, second instanceof Promise]).toEqual([false, true]);
  let hasBegun = false;
  void Promise.resolve(second).then(() => (hasBegun = true));
  await flush();
  expect(hasBegun).toBe(false);
  writes.end(await first);
  writes.end(await second);
  expect([hasBegun, writes.has("k")]).toEqual([true, false]);
});

it("runs the writes of one key in the order of their calls, and those of other keys in parallel", async () => {
  const writes = new KeyedQueue();
  const order: string[] = [];
  const gates = [gate(), gate(), gate()] as const;
  const runs = gates.map((each, i) =>
    writes.run("k", async () => {
      order.push(`begins ${i}`);
      await each.pass();
      order.push(`ends ${i}`);
      return i;
    }),
  );
  gates[2].open();
  gates[1].open();
  await writes.run("other", async () => void order.push("other"));
  await flush();
  expect(order).toEqual(["begins 0", "other"]);
  gates[0].open();
  expect(await Promise.all(runs)).toEqual([0, 1, 2]);
  expect(order.slice(2)).toEqual(["ends 0", "begins 1", "ends 1", "begins 2", "ends 2"]);
});

it("continues after a failure, which only its caller gets", async () => {
  const writes = new KeyedQueue();
  const failure = new Error("lost");
  const first = writes.run("k", () => Promise.reject(failure));
  const second = writes.run("k", async () => 2);
  expect(await Promise.all([outcome(first), outcome(second)])).toEqual([
    { status: "rejected", reason: failure },
    { status: "fulfilled", value: 2 },
  ]);
});

it("keeps nothing of settled writes", async () => {
  const writes = new KeyedQueue();
  const slow = gate();
  const runs = [
    writes.run("a", slow.pass),
    writes.run("a", () => Promise.reject(new Error("lost"))).catch(() => undefined),
    writes.run("b", async () => undefined),
  ];
  expect(writes.size).toBe(3);
  slow.open();
  await Promise.all(runs);
  await flush();
  expect(writes.size).toBe(0);
});

it("resolves `settled` when all writes called so far are settled, failures included", async () => {
  const writes = new KeyedQueue();
  await writes.settled();
  const slow = gate();
  void writes.run("a", slow.pass);
  writes.run("b", () => Promise.reject(new Error("lost"))).catch(() => undefined);
  const settled = writes.settled();
  expect(await outcome(settled)).toEqual({ status: "pending" });
  slow.open();
  await settled;
  expect(writes.size).toBe(0);
});

it("waits for included work too, failures included, and keeps nothing of it", async () => {
  const writes = new KeyedQueue();
  const [slow, failing] = [gate(), gate()];
  void writes.include(slow.pass());
  writes.include(failing.pass()).catch(() => undefined);
  expect(writes.size).toBe(2);
  const settled = writes.settled();
  failing.fail(new Error("lost"));
  expect(await outcome(settled)).toEqual({ status: "pending" });
  slow.open();
  await settled;
  await flush();
  expect(writes.size).toBe(0);
});

it("shows the write called last for a key, until it has begun", () => {
  const writes = new KeyedQueue();
  const [first, second] = [{}, {}];
  const turns: Turn[] = [];
  const take = (waiting?: object): void => writes.take("k", (turn) => void turns.push(turn), waiting);
  take(first);
  expect([writes.waiting("k"), writes.waiting("other")]).toEqual([first, undefined]);
  expect([turns[0]!.begin(), turns[0]!.begin(), writes.waiting("k")]).toEqual([true, false, undefined]);
  take(second);
  expect(writes.waiting("k")).toBe(second);
  take();
  expect(writes.waiting("k")).toBe(undefined);
});

it("hurries the earlier writes of a key that have not begun, unless the later one is patient", () => {
  const writes = new KeyedQueue();
  const turns: Turn[] = [];
  let hurried = 0;
  const take = (isPatient: boolean): void =>
    writes.take(
      "k",
      (turn) => {
        turn.onUrgent = () => void (hurried += 1);
        turns.push(turn);
      },
      undefined,
      isPatient,
    );
  take(true);
  take(true);
  expect(hurried).toBe(0);
  take(false);
  take(false);
  expect(hurried).toBe(1);
  turns[0]!.begin();
  writes.end(turns[0]!);
  expect(turns.map(({ isUrgent }) => isUrgent)).toEqual([true, true]);
});
