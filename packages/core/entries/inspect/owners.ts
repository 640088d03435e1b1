import type { Place } from "./place.ts";

/** A namespace, or a group of keys. */
export interface Owner {
  readonly namespace: readonly string[];
  readonly group?: string;
}

export const idOf = ({ namespace, group }: Owner): string =>
  JSON.stringify(group === undefined ? namespace : { group });

/** Ids of the owners of keys: the namespace of a key, those around it, and its group. */
export class Owners {
  readonly #place: Place;
  /** By the path of a namespace, which is one object for all of its keys. */
  readonly #paths = new WeakMap<readonly string[], readonly string[]>();

  constructor(place: Place) {
    this.#place = place;
  }

  of(namespace: readonly string[], key: string): readonly string[] {
    let paths = this.#paths.get(namespace);
    if (paths === undefined) {
      paths = [...namespace, ""].map((_, length) => idOf({ namespace: namespace.slice(0, length) }));
      this.#paths.set(namespace, paths);
    }
    const { groups } = this.#place.parts.engine.meters;
    const group = groups?.find(({ match }) =>
      typeof match === "string" ? key.startsWith(match) : key.search(match) >= 0,
    );
    return group === undefined ? paths : [...paths, idOf({ namespace: [], group: group.name })];
  }
}
