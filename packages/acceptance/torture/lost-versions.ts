import type { History, Instant, Load } from "./history.ts";

export const askedAt = ({ askedAt: asked, startedAt }: Load): Instant => asked ?? startedAt;

/**
 * Whether a load may run under tag versions that Redis has lost. Over the channel that is not reported: a process keeps
 * to the versions that it knows until another one issues new ones, and then gives its lease up.
 *
 * Ends with the first load of the key after the loss: the one beside it issues the versions, or finds new ones.
 */
export function mayHaveLostVersions({ faults, loads }: History, load: Load): boolean {
  const asked = askedAt(load);
  return faults.some(
    ({ isUnreported, to }) =>
      isUnreported === true &&
      to <= asked &&
      !loads.some((other) => other.key === load.key && askedAt(other) > to && askedAt(other) < asked),
  );
}
