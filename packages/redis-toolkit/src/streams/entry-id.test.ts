import { expect, it } from "vitest";
import { isEntryId, newId, rangeEnd, startId } from "./entry-id.ts";

const LARGEST = "18446744073709551615";

const accepted = (check: (option: string, given: unknown) => unknown, given: readonly unknown[]): readonly unknown[] =>
  given.filter((one) => {
    try {
      return check("the id", one) === one;
    } catch {
      return false;
    }
  });

const GIVEN = [
  "0", "$", "*", ">", "-", "+", "", "7", "7-", "-7", "7-1", "0-0", "7-*", "*-7", "(7-1", "(7", "7-1-1", " 7-1", "7-1\n",
  "1e3-1", "-1-1", `${LARGEST}-${LARGEST}`, "18446744073709551616-0", "0-18446744073709551616", 7, null, undefined, {},
]; // prettier-ignore

it("A50: each kind of id has its own texts, of two parts of 64 bits", () => {
  const largest = `${LARGEST}-${LARGEST}`;
  expect(GIVEN.filter(isEntryId)).toEqual(["7-1", "0-0", largest]);
  expect(accepted(startId, GIVEN)).toEqual(["0", "$", "7-1", "0-0", largest]);
  expect(accepted(newId, GIVEN)).toEqual(["*", "7-1", "7-*", largest]);
  expect(accepted(rangeEnd, GIVEN)).toEqual(["0", "-", "+", "7", "7-1", "0-0", "(7-1", largest]);
});
