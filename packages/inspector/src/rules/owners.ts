import type { Figures } from "./picture.ts";
import { nameOf, within } from "./texts.ts";

// Namespaces and groups of keys, as findings name them.

type GroupRates = Figures["groups"][number];

/** Without namespaces that contain another one of the list, and without groups of keys where a namespace says it. */
export function narrowest(list: readonly GroupRates[]): readonly GroupRates[] {
  const named = list.filter(
    (one) =>
      one.group !== undefined ||
      !list.some((other) => other.group === undefined && within(one.namespace, other.namespace)),
  );
  const places = named.filter(({ group, namespace }) => group === undefined && namespace.length > 0);
  if (places.length > 0) return places;
  const groups = named.filter(({ group }) => group !== undefined);
  return groups.length > 0 ? groups : named;
}

export type Owner = Pick<GroupRates, "namespace" | "group">;
export const ownerOf = ({ namespace, group }: Owner): string =>
  group === undefined ? nameOf(namespace) : `group ${group}`;
export const ofOwner = (owner: Owner): string => (ownerOf(owner) === "" ? "" : ` of ${ownerOf(owner)}`);
