import { expect, it } from "vitest";
import { ipKey } from "./ip-key.ts";

it.each([
  ["192.0.2.7", "192.0.2.7"],
  ["192.0.2.7:51234", "192.0.2.7"],
  ["::ffff:192.0.2.7", "192.0.2.7"],
  ["::FFFF:c000:207", "192.0.2.7"],
  ["0:0:0:0:0:ffff:192.0.2.7", "192.0.2.7"],
  ["[::ffff:192.0.2.7]:443", "192.0.2.7"],
  ["2001:db8:1:2ff:3:4:5:6", "2001:db8:1:200::/56"],
  ["2001:0DB8:0001:0200::1", "2001:db8:1:200::/56"],
  ["[2001:db8:1:2ab::]", "2001:db8:1:200::/56"],
  ["[2001:db8:1:2ab::]:8080", "2001:db8:1:200::/56"],
  ["2001:db8::", "2001:db8:0:0::/56"],
  ["2001:db8::1:0:0:1", "2001:db8:0:0::/56"],
  ["fe80::1%eth0", "fe80:0:0:0::/56"],
  ["::1", "0:0:0:0::/56"],
  // Neither of these is mapped: the first is IPv4-compatible, the second has another mark.
  ["::192.0.2.7", "0:0:0:0::/56"],
  ["1::ffff:192.0.2.7", "1:0:0:0::/56"],
])("%s counts as %s", (address, key) => {
  expect(ipKey(address)).toBe(key);
});

it.each([
  [32, "ffff:ffff::/32"],
  [33, "ffff:ffff:8000::/33"],
  [47, "ffff:ffff:fffe::/47"],
  [48, "ffff:ffff:ffff::/48"],
  [64, "ffff:ffff:ffff:ffff::/64"],
  [127, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127"],
  [128, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"],
])("a subnet of %s bits", (ipv6Subnet, key) => {
  expect(ipKey("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", { ipv6Subnet })).toBe(key);
  expect(ipKey("192.0.2.7", { ipv6Subnet })).toBe("192.0.2.7");
});

it("text that is not an address, and other sizes of a subnet, are refused", () => {
  for (const address of [
    "",
    "localhost",
    "1.2.3",
    "1.2.3.4.5",
    "01.2.3.4",
    "1.2.3.4:",
    "2001:db8::1::",
    "[::1",
    "::1:x",
  ])
    expect(() => ipKey(address), address).toThrow("the address must be one of IPv4 or IPv6");
  expect(() => ipKey(undefined as never)).toThrow("got undefined");
  for (const ipv6Subnet of [31, 129, 56.5, "56" as never])
    expect(() => ipKey("::1", { ipv6Subnet })).toThrow("ipv6Subnet must be a whole number from 32 to 128");
});
