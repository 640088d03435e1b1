/** What `shape: "auto"` knows of schemas of real libraries, and what it does not see. */
import { createCache, ConfigurationError, type StandardSchema } from "@hotset/core";
import { shaped } from "@hotset/core/shapes";
import { memory } from "@hotset/memory";
import { type } from "arktype";
import * as v from "valibot";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { z as z3 } from "zod3";

/** The shape of a namespace, as the key of an entry shows it. */
async function shapeOf(schema: StandardSchema<unknown>): Promise<string> {
  await using cache = createCache({ name: "shop" }).tier(memory()).build();
  const paths: (readonly string[])[] = [];
  cache.on("load", ({ namespace }) => paths.push(namespace));
  await shaped(cache, "values", { shape: "auto", schema }).getOrSet("k", () => 1);
  return paths[0]!.at(-1)!;
}

const isShape = /^@[0-9a-f]{16}$/;

/** Schemas that differ in what each library can say, by a name. */
const LIBRARIES: Readonly<Record<string, Readonly<Record<string, StandardSchema<unknown>>>>> = {
  zod: {
    base: z.object({ id: z.string(), price: z.number() }),
    "another field": z.object({ id: z.string(), price: z.number(), stock: z.number() }),
    "another name": z.object({ id: z.string(), cents: z.number() }),
    "another type": z.object({ id: z.string(), price: z.string() }),
    optional: z.object({ id: z.string(), price: z.number().optional() }),
    nullable: z.object({ id: z.string(), price: z.number().nullable() }),
    date: z.object({ id: z.string(), price: z.date() }),
    bound: z.object({ id: z.string().min(3), price: z.number() }),
    list: z.object({ id: z.string(), price: z.array(z.number()) }),
    literal: z.object({ id: z.literal("a"), price: z.number() }),
    union: z.union([z.object({ id: z.string() }), z.string()]),
  },
  "zod 3": {
    base: z3.object({ id: z3.string(), price: z3.number() }),
    "another name": z3.object({ id: z3.string(), cents: z3.number() }),
    "another type": z3.object({ id: z3.string(), price: z3.string() }),
    optional: z3.object({ id: z3.string(), price: z3.number().optional() }),
    date: z3.object({ id: z3.string(), price: z3.date() }),
    nested: z3.object({ id: z3.string(), price: z3.object({ cents: z3.number() }) }),
  },
  valibot: {
    base: v.object({ id: v.string(), price: v.number() }),
    "another name": v.object({ id: v.string(), cents: v.number() }),
    "another type": v.object({ id: v.string(), price: v.string() }),
    optional: v.object({ id: v.string(), price: v.optional(v.number()) }),
    date: v.object({ id: v.string(), price: v.date() }),
    bound: v.object({ id: v.pipe(v.string(), v.minLength(3)), price: v.number() }),
    nested: v.object({ id: v.string(), price: v.object({ cents: v.number() }) }),
  },
  arktype: {
    base: type({ id: "string", price: "number" }),
    "another name": type({ id: "string", cents: "number" }),
    "another type": type({ id: "string", price: "string" }),
    optional: type({ id: "string", "price?": "number" }),
    date: type({ id: "string", price: "Date" }),
    nested: type({ id: "string", price: { cents: "number" } }),
  },
};

describe.each(Object.keys(LIBRARIES))("C746 a fingerprint of %s", (library) => {
  it("differs where the schemas do", async () => {
    const names = Object.keys(LIBRARIES[library]!);
    const shapes = await Promise.all(names.map((name) => shapeOf(LIBRARIES[library]![name]!)));
    expect(shapes.every((shape) => isShape.test(shape))).toBe(true);
    expect(new Set(shapes).size).toBe(names.length);
  });
});

describe("C746 a fingerprint", () => {
  const SAME: readonly (readonly [what: string, one: StandardSchema<unknown>, other: StandardSchema<unknown>])[] = [
    ["order of fields", z.object({ a: z.string(), b: z.number() }), z.object({ b: z.number(), a: z.string() })],
    ["texts for people", z.object({ a: z.string().describe("a name") }), z.object({ a: z.string("no name") })],
    [
      "order of fields in valibot",
      v.object({ a: v.string(), b: v.number() }),
      v.object({ b: v.number(), a: v.string() }),
    ],
    ["messages of valibot", v.object({ a: v.string("one") }), v.object({ a: v.string("other") })],
    // Functions are not seen: a page says so.
    ["a transform", z.string().transform(Number), z.string().transform((text) => text.length)],
    ["a refinement", z3.string().refine((text) => text !== ""), z3.string().refine(() => true)],
  ];
  it.each(SAME)("is the same for another %s", async (_, one, other) => {
    expect(await shapeOf(one)).toBe(await shapeOf(other));
  });

  it("is the same in each process and release", async () => {
    expect(await shapeOf(LIBRARIES["valibot"]!["base"]!)).toMatchInlineSnapshot(`"@43b089a6619b18f7"`);
    expect(await shapeOf(LIBRARIES["arktype"]!["base"]!)).toMatchInlineSnapshot(`"@b28185b64d25524b"`);
  });

  it("ends for a schema that contains itself", async () => {
    const tree = z.object({
      name: z.string(),
      get children() {
        return z.array(tree);
      },
    });
    expect(await shapeOf(tree)).toMatch(isShape);
    const list: v.GenericSchema = v.object({ next: v.lazy(() => list) });
    expect(await shapeOf(list)).toMatch(isShape);
  });

  it("is of the JSON Schema that any other library exports", async () => {
    const other = (fields: object): StandardSchema<unknown> => {
      const of = { version: 1, vendor: "other", validate: (value: unknown) => ({ value }) } as const;
      return {
        "~standard": { ...of, jsonSchema: { output: () => ({ type: "object", properties: fields }) } },
      } as never;
    };
    const [one, same, changed] = [{ a: {}, b: {} }, { b: {}, a: {} }, { a: {} }].map(other) as [never, never, never];
    expect(await shapeOf(one)).toBe(await shapeOf(same));
    expect(await shapeOf(changed)).not.toBe(await shapeOf(one));
  });

  it("is refused where nothing is known", () => {
    const cache = createCache({ name: "shop" }).tier(memory()).build();
    const mute: StandardSchema<unknown> = {
      "~standard": { version: 1, vendor: "mute", validate: (value) => ({ value }) },
    };
    expect(() => shaped(cache, "values", { shape: "auto" })).toThrow(
      new ConfigurationError(
        'shaped: shape "auto" needs a schema; give one, or a string that changes with the shape of the values',
      ),
    );
    expect(() => shaped(cache, "values", { shape: "auto", schema: mute })).toThrow(
      "shaped: the schema of mute exports no structure; give shape a string that changes with the shape of the values",
    );
    expect(() => shaped(cache, "values", { shape: "" })).toThrow("shaped: shape must be");
    expect(() => shaped({} as never, "values", { shape: "1" })).toThrow(
      "shaped: give it a cache, or a namespace of one",
    );
  });
});
