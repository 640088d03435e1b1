import { ConfigurationError, InvalidArgumentError, type WalkedKey } from "@hotset/core";
import { checkNames } from "@hotset/core/internal";
import type { StoredPage, WalkedEntry, WalkOptions } from "./inspection.ts";
import type { Place } from "./place.ts";

/** @throws {ConfigurationError} from the iteration, where the backend cannot be walked. */
export async function* walkBackend(place: Place, options: WalkOptions): AsyncGenerator<StoredPage, void> {
  checkNames(options, ["search", "namespace", "signal"], { place: "stored", as: InvalidArgumentError });
  const { search, namespace = [], signal } = options;
  const { backend, namespace: root, spaceBelow } = place.parts;
  if (backend?.walk === undefined)
    throw new ConfigurationError(
      backend === undefined ? "stored: the cache has no backend" : `stored: ${backend.label} cannot be walked`,
    );
  let space = root.keySpace;
  for (const name of namespace) space = spaceBelow(space, name);
  // In the namespace itself and in those below it a colon follows.
  const prefix = space.backendPrefix.slice(0, -1);
  for await (const { keys, looked, total } of backend.walk({ prefix, contains: search, signal })) {
    const entries = keys.flatMap((each) => shown(place, each, search));
    yield { entries, looked, ...(total !== undefined && { total }) };
    if (signal?.aborted === true) return;
  }
}

/** Leaves out keys that are not entries of the cache, such as records of processes. */
function shown(
  place: Place,
  { key, staleInMs, expiresInMs, bytes }: WalkedKey,
  search: string | undefined,
): readonly WalkedEntry[] {
  const { localKeyOf, parseLocalKey, namespace: root } = place.parts;
  const local = localKeyOf(root.keySpace, key);
  if (local === undefined) return [];
  const parsed = parseLocalKey(local);
  // Segments are percent-encoded, so that none of a namespace begins with it.
  if (key.startsWith(`${root.keySpace.backendPrefix.slice(0, -1)}~`)) return [];
  if (search !== undefined && !parsed.key.includes(search)) return [];
  return [
    {
      namespace: parsed.path,
      key: place.redacted(parsed.key),
      ...(staleInMs !== undefined && { freshForMs: staleInMs }),
      ...(expiresInMs !== undefined && { expiresInMs }),
      ...(bytes !== undefined && { bytes }),
    },
  ];
}
