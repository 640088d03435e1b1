import type { StandardSchema } from "@hotset/core";
import { createTestCache, flush, outcome, scriptedBackend, TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";

interface User {
  readonly name: string;
  readonly role: string;
}

/** Refuses what has no name, strips what it does not know, and gives a default. */
const userSchema: StandardSchema<User> = {
  "~standard": {
    version: 1,
    vendor: "test",
    validate: async (value) => {
      const { name, role = "guest" } = value as Partial<User>;
      return typeof name === "string"
        ? { value: { name, role } }
        : { issues: [{ message: `name is ${name}`, path: ["name"] }] };
    },
  },
};
const never = (): never => {
  throw new Error("a second load");
};

function users({ checks = "all" }: { readonly checks?: "reads" | "all" } = {}) {
  const clock = new TestClock();
  const cache = createTestCache({ clock, backend: scriptedBackend({ clock }), ttl: 100, staleIfError: 1_000 });
  return { clock, cache, view: cache.namespace("users", { schema: { of: userSchema, checks } }) };
}

describe("C192 with a schema that checks all, a loaded value", () => {
  it("is what the schema made of it, for the caller as for all later ones", async () => {
    const { view } = users();
    const load = (): User => ({ name: "Ada", secret: 1 }) as unknown as User;
    expect(await view.getOrSet("1", load)).toEqual({ name: "Ada", role: "guest" });
    expect(await view.getOrSet("1", never)).toEqual({ name: "Ada", role: "guest" });
    const many = await view.getOrSetMany([2], String, () => [[2, load()]]);
    expect(many).toEqual(new Map([[2, { name: "Ada", role: "guest" }]]));
  });

  it("that the schema refuses rejects without quoting the value, is stored nowhere, and counts as a failed load", async () => {
    const { cache, view } = users();
    const errors: unknown[] = [];
    cache.on("load:error", ({ error }) => errors.push(error));
    const refused = await outcome(view.getOrSet("1", () => ({ name: 4_711 }) as never));
    expect(refused).toMatchObject({
      reason: { code: "INVALID_VALUE", message: "the namespace's schema refuses the loaded value: name: name is …" },
    });
    await flush();
    expect(errors).toEqual([expect.objectContaining({ code: "INVALID_VALUE" })]);
    expect(cache.stats()).toMatchObject({ loads: 1, loadErrors: 1 });
    expect(await view.inspect("1")).toBe(undefined);
  });

  it("that is refused is replaced by the stale value that staleIfError covers", async () => {
    const { view, clock } = users();
    await view.set("1", { name: "Ada", role: "admin" });
    clock.advance(100);
    expect(await view.getOrSet("1", () => ({}) as never)).toEqual({ name: "Ada", role: "admin" });
  });

  it("is checked too where the loader keeps it from being stored, and undefined and what is kept are not", async () => {
    const { view, clock } = users();
    const refused = await outcome(view.getOrSet("1", ({ noStore }) => noStore({} as User)));
    expect(refused).toMatchObject({ reason: { code: "INVALID_VALUE" } });
    const checked = view.getOrSet("1", ({ noStore }) => noStore({ name: "Ada" } as User));
    expect(await checked).toEqual({ name: "Ada", role: "guest" });
    expect(await view.inspect("1")).toBe(undefined);
    expect(await view.getOrSet("1", () => undefined as never)).toBe(undefined);
    await view.set("2", { name: "Bob", role: "admin" });
    clock.advance(100);
    expect(await view.getOrSet("2", ({ stale }) => stale!.notModified())).toEqual({ name: "Bob", role: "admin" });
  });

  it("without it is not checked", async () => {
    const { view } = users({ checks: "reads" });
    expect(await view.getOrSet("1", () => ({}) as User)).toEqual({});
  });

  describe("functions of a value", () => {
    /** As the ids of rows come: the schema makes the value of it that all others see. */
    const row = (): User => ({ name: "Ada" }) as User;
    const refused = (): User => ({}) as User;

    it("get what the schema gave", async () => {
      const { view } = users();
      const seen: unknown[] = [];
      const note = <T>(value: User, result: T): T => (seen.push(value.role), result);
      const options = {
        tags: (value: User) => note(value, [value.role]),
        ttl: (value: User) => note(value, 50),
        shouldStore: (value: User) => note(value, true),
      };
      const user = view.wrap(async (_id: number) => row(), { name: "user", ...options });
      await user(1);
      await view.getOrSetMany(["2"], String, () => [["2", row()]], { tags: (_id, value) => options.tags(value) });
      expect(seen).toEqual(["guest", "guest", "guest", "guest"]);
      expect(await view.inspect(user.key(1))).toMatchObject({ tags: ["guest"], freshForMs: 50 });
      expect(await view.inspect("2")).toMatchObject({ tags: ["guest"], freshForMs: 100 });
      const unstored = view.wrap(async (_id: number) => row(), { name: "unstored", shouldStore: () => false });
      expect([await unstored(1), await view.inspect(unstored.key(1))]).toEqual([
        { name: "Ada", role: "guest" },
        undefined,
      ]);
    });

    it.each(["tags", "ttl", "shouldStore", "tags of a batch"])(
      "are not asked about what it refuses: %s",
      async (which) => {
        const { view } = users();
        const fail = (value: User): never => value.role.toUpperCase() as never;
        const loading =
          which === "tags of a batch"
            ? view.getOrSetMany(["1"], String, () => [["1", refused()]], { tags: (_id, value) => fail(value) })
            : view.wrap(async (_id: number) => refused(), { name: "user", [which]: fail })(1);
        await expect(loading).rejects.toMatchObject({ code: "INVALID_VALUE" });
      },
    );
  });

  it.each([{ checks: "all" }, { of: userSchema, checks: "loads" }, { of: userSchema, check: "all" }, null])(
    "needs a schema, and one of two texts: %j",
    (schema) => {
      expect(() => createTestCache().namespace("n", { schema: schema as never })).toThrow(
        'schema must be a Standard Schema (https://standardschema.dev), or { of: a Standard Schema, checks: "reads" or "all" }',
      );
    },
  );
});
