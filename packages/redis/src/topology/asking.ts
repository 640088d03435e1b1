import type { RawClient, SendOptions } from "../connection/command-queue.ts";
import type { Link } from "../connection/link.ts";
import type { Origin } from "../primitives/faults.ts";

/**
 * As `send`, for a node that a slot is being moved to. The two commands must stay together: ASKING applies to the next
 * command only.
 */
export function sendAsking(
  link: Pick<Link, "queue" | "admit">,
  origin: Origin,
  args: readonly (string | Buffer)[],
  options?: SendOptions,
): Promise<unknown> {
  const { queue } = link;
  const command = queue.begin<unknown>(origin, options?.deadlineMs);
  const start = (client: RawClient): void => {
    const asking = queue.begin<unknown>(origin);
    asking.promise.catch(ignore);
    asking.exchange(client, ["ASKING"]);
    command.exchange(client, args, options);
  };
  if (queue.hasRoom) start(queue.client!);
  else link.admit(command, start);
  return command.promise;
}

const ignore = (): void => undefined;
