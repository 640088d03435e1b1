import type { Facts, Known, PrimaryFacts } from "./facts.ts";

/** Fields of one primary; `""` and `NaN` for those that it leaves out. */
export class Fields {
  readonly address: string;
  readonly #values: ReadonlyMap<string, string>;

  constructor(address: string, values: ReadonlyMap<string, string>) {
    this.address = address;
    this.#values = values;
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  text(name: string): string {
    return this.#values.get(name) ?? "";
  }

  number(name: string): number {
    const text = this.#values.get(name);
    return text === undefined || text === "" ? NaN : Number(text);
  }
}

export const orNone = <T>(known: Known<readonly T[]>): readonly T[] => ("value" in known ? known.value : []);

/** `INFO` of each primary that gave it. */
export const infos = ({ primaries }: Facts): readonly Fields[] => fieldsOf(primaries, ({ info }) => info);

/** Settings of each primary that showed them. */
export const configs = ({ primaries }: Facts): readonly Fields[] => fieldsOf(primaries, ({ config }) => config);

const fieldsOf = (
  primaries: readonly PrimaryFacts[],
  part: (primary: PrimaryFacts) => Known<ReadonlyMap<string, string>>,
): readonly Fields[] =>
  primaries.flatMap((primary) => {
    const known = part(primary);
    return "value" in known ? [new Fields(primary.address, known.value)] : [];
  });

/** `noeviction on 10.0.0.1:6379 and 2 others`. */
export function onWhich(servers: readonly { readonly address: string }[], all: number): string {
  const [first] = servers;
  if (all < 2 || first === undefined) return "";
  return servers.length === 1 ? ` on ${first.address}` : ` on ${first.address} and ${servers.length - 1} more`;
}
