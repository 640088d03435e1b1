import { expect, it } from "vitest";
import { tlsOf } from "../src/load-pair.ts";

it.each([
  ["https://shop.example/page", { encrypted: true, servername: "shop.example" }],
  ["https://shop.example:8443/", { encrypted: true, servername: "shop.example" }],
  ["https://127.0.0.1/", { encrypted: true }],
  ["https://[::1]:8443/", { encrypted: true }],
  ["http://shop.example/", {}],
])("H104 the connection of a load has the server name of its key, and of no client: %s", (url, tls) => {
  expect(tlsOf(url)).toEqual(tls);
});
