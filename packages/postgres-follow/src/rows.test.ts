import { describe, expect, it } from "vitest";
import { guarded, partOf } from "./rows.ts";

const part = (): Record<string, unknown> => partOf({ id: 1 });

describe("C640 a row as rules see it", () => {
  it("gives what it has, and throws for a column that it lacks", () => {
    const row = guarded({ id: 1, shelf: null, text: undefined });
    expect([row["id"], row["shelf"]]).toEqual([1, null]);
    expect(() => row["text"]).toThrow('the log does not have the column "text" of this row');
    expect(() => row["shelff"]).toThrow('the log does not have the column "shelff" of this row');
  });

  it("looks like an object to programs that inspect it", () => {
    expect(String(guarded({ id: 1 }))).toBe("[object Object]");
    expect(JSON.stringify(guarded({ id: 1 }))).toBe('{"id":1}');
    expect(guarded({ id: 1 })["then"]).toBeUndefined();
  });

  it.each<[how: string, read: (row: Record<string, unknown>) => unknown]>([
    ["its keys", (row) => Object.keys(row)],
    ["a copy", (row) => ({ ...row })],
    ["its JSON", (row) => JSON.stringify(row)],
    ["whether it has a column", (row) => "shelf" in row],
  ])("refuses to say of a part: %s", (_how, read) => {
    expect(() => read(guarded(part()) as Record<string, unknown>)).toThrow("the log does not have");
    expect(() => read(guarded({ id: 1 }) as Record<string, unknown>)).not.toThrow();
  });

  it("records which columns were read, and * for all", () => {
    const reads = new Set<string>();
    const row = guarded({ id: 1, shelf: "a", text: "" }, reads);
    expect([row["id"], "shelf" in row]).toEqual([1, true]);
    expect([...reads]).toEqual(["id", "shelf"]);
    Object.keys(row);
    expect([...reads]).toEqual(["id", "shelf", "*"]);
  });
});
