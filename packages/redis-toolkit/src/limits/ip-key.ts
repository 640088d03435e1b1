import { isIPv4, isIPv6 } from "node:net";
import { InvalidArgumentError } from "@hotset/core";
import { checkOptions, shown, checkWholeNumber } from "../module/module.ts";

/** Options of {@link ipKey}. */
export interface IpKeyOptions {
  /**
   * How many leading bits of an IPv6 address are one client, 32 to 128: providers give each customer a /56 or a /64, in
   * which it has as many addresses as it likes.
   *
   * @default 56
   */
  readonly ipv6Subnet?: number | undefined;
}

/**
 * The key of a client: its IPv4 address, even where that is mapped into IPv6, or the subnet of its IPv6 address. Equal
 * for each spelling of an address. A port is ignored, as some proxies send one.
 *
 * @throws {InvalidArgumentError} for text that is not an address.
 */
export function ipKey(address: string, options: IpKeyOptions = {}): string {
  checkOptions("ipKey(address, options)", options, ["ipv6Subnet"]);
  const bits = subnetBits(options);
  const plain = typeof address === "string" ? withoutPort(address) : "";
  if (isIPv4(plain)) return plain;
  if (!isIPv6(plain))
    throw new InvalidArgumentError(`ipKey(address): the address must be one of IPv4 or IPv6, got ${shown(address)}`);
  const groups = groupsOf(plain);
  const [, , , , , mark = 0, high = 0, low = 0] = groups;
  if (groups.slice(0, 5).every((group) => group === 0) && mark === 0xffff)
    return [high >> 8, high & 0xff, low >> 8, low & 0xff].join(".");
  const kept = groups.slice(0, Math.ceil(bits / 16));
  const unused = kept.length * 16 - bits;
  const texts = kept.map((group, i) => (i === kept.length - 1 ? (group >> unused) << unused : group).toString(16));
  return `${texts.join(":")}${kept.length < 8 ? "::" : ""}/${bits}`;
}

/** @throws {InvalidArgumentError} */
export const subnetBits = ({ ipv6Subnet = 56 }: IpKeyOptions): number =>
  checkWholeNumber("ipv6Subnet", ipv6Subnet, { min: 32, max: 128 });

const withoutPort = (address: string): string =>
  /^\[(.*)\](?::\d+)?$/.exec(address)?.[1] ?? /^([\d.]+):\d+$/.exec(address)?.[1] ?? address;

/** The eight groups of a valid address. */
function groupsOf(address: string): readonly number[] {
  const [text = ""] = address.split("%");
  const hexadecimal = text.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...bytes: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = bytes.slice(0, 4).map(Number);
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  });
  const [front = [], back = []] = hexadecimal.split("::").map((half) => (half === "" ? [] : half.split(":")));
  const zeros = Array.from({ length: 8 - front.length - back.length }, () => "0");
  return [...front, ...zeros, ...back].map((group) => Number.parseInt(group, 16));
}
