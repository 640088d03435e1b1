import { expect, it } from "vitest";
import { gate } from "./gate.ts";
import { outcome } from "./outcome.ts";

it("holds all calls of pass until it is opened, and lets later ones through", async () => {
  const door = gate<string>();
  const early = [door.pass(), door.pass()];
  expect(door.waiting).toBe(2);
  expect(await outcome(early[0]!)).toEqual({ status: "pending" });

  door.open("open");
  door.open("again");

  expect(await Promise.all(early)).toEqual(["open", "open"]);
  expect(await door.pass()).toBe("open");
  expect(await door.opened).toBe("open");
  expect(door.waiting).toBe(0);
});

it("rejects waiting and later calls, and causes no unhandled rejection by itself", async () => {
  const door = gate();
  const reason = new Error("stuck");
  const waiting = door.pass();
  door.fail(reason);
  door.open();
  await expect(waiting).rejects.toBe(reason);
  await expect(door.pass()).rejects.toBe(reason);

  const unused = gate();
  unused.fail(new Error("never passed"));
  expect((await outcome(unused.opened)).status).toBe("rejected");
});

it("reports when the code under test has reached it, the first or the n-th time", async () => {
  const door = gate();
  const first = door.arrived();
  const third = door.arrived(3);
  expect(await outcome(first)).toEqual({ status: "pending" });

  void door.pass();
  await first;
  await door.arrived();
  void door.pass();
  expect(await outcome(third)).toEqual({ status: "pending" });
  door.open();
  void door.pass();
  await third;
});
