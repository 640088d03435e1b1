import { openSession, addressText, type Address, type NodeClient, type Session } from "../connection/session.ts";
import { connectFault } from "../primitives/faults.ts";
import { namedPrimary, type SentinelSettings } from "./sentinel-group.ts";
import type { SentinelWatcher } from "./sentinel-watcher.ts";

/**
 * Opens a connection to the primary that the watcher knows; where it knows none all sentinels are asked. The connection
 * counts as lost when they announce another primary: the old one may live on, and accept writes that are discarded
 * later.
 *
 * @see https://redis.io/docs/latest/develop/reference/sentinel-clients/
 */
export async function openPrimary(
  settings: SentinelSettings,
  watcher: SentinelWatcher,
  aborted: AbortSignal,
  prepare: (client: NodeClient) => Promise<void>,
  reached?: () => void,
): Promise<Session> {
  const { primary } = settings;
  const startedAt = primary.clock.now();
  const leftMs = (): number => primary.connectTimeoutMs - (primary.clock.now() - startedAt);
  const known = watcher.primary;
  let lastError: unknown;
  const openFirst = async (addresses: readonly Address[]): Promise<Session | undefined> => {
    for (const address of addresses) {
      const connectTimeoutMs = leftMs();
      if (connectTimeoutMs <= 0) return undefined;
      try {
        const prepareIt = async (client: NodeClient): Promise<void> => {
          await expectPrimary(client);
          await prepare(client);
        };
        const session = await openSession(address, { ...primary, connectTimeoutMs }, aborted, prepareIt, reached);
        return lostOnFailover(session, address, watcher);
      } catch (error) {
        lastError = error;
      }
    }
    return undefined;
  };
  if (known !== undefined) {
    const session = await openFirst([known]);
    if (session !== undefined) return session;
    if (!aborted.aborted) watcher.doubt(known);
  }
  // The next attempt asks, since the one that was known is doubted now.
  const session = leftMs() > 0 ? await openFirst(await findPrimary(settings, aborted)) : undefined;
  if (session !== undefined) return session;
  throw connectFault(
    "the sentinels' primary",
    lastError ?? new Error("finding its address took all of connectTimeout"),
  );
}

/** Addresses in the order of votes; more than one only while the sentinels disagree. */
async function findPrimary(settings: SentinelSettings, aborted: AbortSignal): Promise<readonly Address[]> {
  const { sentinels, primaryName } = settings;
  const votes = new Map<string, { readonly address: Address; count: number }>();
  let unknownTo = 0;
  let lastError: unknown;
  const polls = sentinels.map(async (sentinel) => {
    try {
      const found = await namedPrimary(sentinel, settings, aborted);
      if (found === undefined) {
        unknownTo += 1;
        return false;
      }
      const name = addressText(found);
      const vote = votes.get(name) ?? { address: found, count: 0 };
      vote.count += 1;
      votes.set(name, vote);
      return vote.count > sentinels.length / 2;
    } catch (error) {
      lastError = error;
      return false;
    }
  });
  // A majority is enough: an unreachable sentinel should not delay the rest.
  await new Promise<void>((resolve) => {
    for (const poll of polls) void poll.then((isMajority) => isMajority && resolve());
    void Promise.all(polls).then(() => resolve());
  });
  if (votes.size > 0)
    return [...votes.values()].sort((one, other) => other.count - one.count).map((vote) => vote.address);
  if (unknownTo > 0)
    throw connectFault(
      "the sentinels' primary",
      new Error(`no sentinel knows a primary named ${JSON.stringify(primaryName)}`),
    );
  throw lastError;
}

/** Just after a failover sentinels may still name the old one. */
async function expectPrimary(client: NodeClient): Promise<void> {
  const [role] = (await client.sendCommand(["ROLE"]).catch((error: Error) => {
    // A user without this permission trusts the sentinels.
    if (error.message.startsWith("NOPERM")) return [Buffer.from("master")];
    throw error;
  })) as readonly [Buffer];
  if (role.toString() !== "master") throw new Error("it is a replica, although a sentinel names it as the primary");
}

/** `session`, which is also lost when the sentinels name another primary. */
function lostOnFailover(session: Session, address: Address, watcher: SentinelWatcher): Session {
  const moved = Promise.withResolvers<Error>();
  const end = watcher.watch({
    address,
    moved: () => moved.resolve(new Error("the sentinels announced another primary")),
  });
  return {
    ...session,
    onLost(listener) {
      session.onLost((error) => {
        end();
        watcher.doubt(address);
        listener(error);
      });
      void moved.promise.then(listener);
    },
    destroy() {
      end();
      session.destroy();
    },
  };
}
