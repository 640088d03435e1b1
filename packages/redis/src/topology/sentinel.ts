import { connectFault } from "../primitives/faults.ts";
import {
  openSession,
  addressText,
  type Address,
  type NodeClient,
  type Session,
  type SessionSettings,
} from "../connection/session.ts";
import { namedAddress, type ResolveAddress } from "./named-address.ts";

export interface SentinelSettings {
  /** Addresses and credentials of the sentinels, which have users of their own. */
  readonly sentinels: readonly Sentinel[];
  readonly primaryName: string;
  readonly primary: SessionSettings;
  /** For the address of the primary. */
  readonly resolveAddress?: ResolveAddress | undefined;
}

interface Sentinel {
  readonly address: Address;
  readonly settings: SessionSettings;
}

/** How long to wait before listening to the next sentinel. */
const NEXT_SENTINEL_MS = 1_000;

/**
 * Opens a connection to the primary. Each attempt asks the sentinels for its address. The connection counts as lost
 * when they announce another primary: the old one may live on, and accept writes that are discarded later.
 *
 * @see https://redis.io/docs/latest/develop/reference/sentinel-clients/
 */
export async function openPrimary(
  settings: SentinelSettings,
  aborted: AbortSignal,
  prepare: (client: NodeClient) => Promise<void>,
): Promise<Session> {
  const { primary } = settings;
  const startedAt = primary.clock.now();
  let lastError: unknown;
  for (const address of await findPrimary(settings, aborted)) {
    const leftMs = primary.connectTimeoutMs - (primary.clock.now() - startedAt);
    if (leftMs <= 0) break;
    try {
      const session = await openSession(address, { ...primary, connectTimeoutMs: leftMs }, aborted, async (client) => {
        await expectPrimary(client);
        await prepare(client);
      });
      return lostOnFailover(session, addressText(address), settings);
    } catch (error) {
      lastError = error;
    }
  }
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
      let found: Address | undefined;
      const session = await openSession(sentinel.address, sentinel.settings, aborted, async (client) => {
        found = await primaryAddress(client, settings);
      });
      session.destroy();
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

/** Where the primary is reached. @throws {BackendUnavailableError} where `resolveAddress` refuses its address. */
async function primaryAddress(
  client: NodeClient,
  { primaryName, resolveAddress }: SentinelSettings,
): Promise<Address | undefined> {
  const reply = (await client.sendCommand(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", primaryName])) as
    | readonly [Buffer, Buffer]
    | null;
  if (reply === null) return undefined;
  return namedAddress({ host: reply[0].toString(), port: Number(reply[1].toString()) }, "a sentinel", resolveAddress);
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

/** `session`, lost also when a sentinel announces a primary other than `name`. */
function lostOnFailover(session: Session, name: string, group: SentinelSettings): Session {
  const {
    sentinels,
    primaryName,
    primary: { clock },
  } = group;
  const ended = new AbortController();
  let cancel: (() => void) | undefined;
  let subscriber: Session | undefined;
  let onLost: (error: Error) => void = () => undefined;
  const end = (): void => {
    ended.abort();
    cancel?.();
    subscriber?.destroy();
  };
  const moved = (): void => {
    if (ended.signal.aborted) return;
    end();
    onLost(new Error("the sentinels announced another primary"));
  };

  /** Listens to one sentinel after the other, and asks each once, since the announcement may have come before. */
  const listen = (index: number): void => {
    const { address, settings } = sentinels[index % sentinels.length]!;
    const again = (): void => {
      if (!ended.signal.aborted) cancel = clock.schedule(() => listen(index + 1), NEXT_SENTINEL_MS);
    };
    openSession(address, settings, ended.signal, async (client) => {
      await client.subscribe("+switch-master", (message) => {
        if (message.startsWith(`${primaryName} `)) moved();
      });
      const named = await primaryAddress(client, group);
      if (named !== undefined && addressText(named) !== name) moved();
    }).then((opened) => {
      subscriber = opened;
      if (ended.signal.aborted) opened.destroy();
      else opened.onLost(again);
    }, again);
  };
  listen(Math.floor(Math.random() * sentinels.length));

  return {
    client: session.client,
    onLost(listener) {
      onLost = listener;
      session.onLost((error) => {
        end();
        listener(error);
      });
    },
    destroy() {
      end();
      session.destroy();
    },
  };
}
