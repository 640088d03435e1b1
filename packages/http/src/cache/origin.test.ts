import { expect, it } from "vitest";
import type { PlainRequest, PlainResponse } from "./messages.ts";
import { OriginAnsweredError } from "./origin.ts";

it("H62 the response of an error is for the client of its request alone, and once", () => {
  const [first, second] = ["first", "second"].map((user): PlainRequest => ({
    method: "GET",
    url: "https://shop.example/",
    fields: [["cookie", user]],
    hasBody: false,
  }));
  const response: PlainResponse = {
    status: 500,
    statusText: "",
    fields: [["cache-control", "private"]],
    body: new Uint8Array(),
  };
  const error = new OriginAnsweredError(response, "answered", first!);
  expect([error.take(second!), error.take(first!), error.take(first!)]).toEqual([undefined, response, undefined]);
});
