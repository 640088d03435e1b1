import type { Joined } from "../engine/flight.ts";
import type { Loader } from "../entry/loader.ts";
import type { GetOrSetOptions } from "../entry/policy.ts";
import type { NamespaceView } from "./namespace-view.ts";
import type { Namespace } from "./namespace.ts";

/**
 * `namespace.getOrSet`, and the flight of another caller that the call joined: for packages that serve a load while it
 * runs. A wrapper around a namespace may say of no call that it joined one.
 */
export function getOrSetAndJoined(
  namespace: Namespace,
  key: string,
  load: Loader<unknown>,
  options: GetOrSetOptions,
): { readonly answer: Promise<unknown>; readonly joined: Joined | undefined } {
  let joined: Joined | undefined;
  const note = (each: Joined): void => void (joined = each);
  const answer = (namespace as Pick<NamespaceView, "getOrSet">).getOrSet(key, load, options, note);
  return { answer, joined };
}
