import { connectFault } from "./faults.ts";
import type { RawClient } from "./lane.ts";
import { loadScripts, openSession, placeOf, type Address, type Session, type SessionSettings } from "./session.ts";

export interface SentinelSettings {
  /** How to reach the sentinels; they have users of their own. */
  readonly sentinels: readonly { readonly address: Address; readonly settings: SessionSettings }[];
  readonly primaryName: string;
  readonly primary: SessionSettings;
}

/**
 * Opens a connection to the primary: asked of the sentinels anew for each attempt, so a lost
 * connection finds the next primary. Sentinel cuts the clients of a primary that it demotes.
 *
 * @see https://redis.io/docs/latest/develop/reference/sentinel-clients/
 */
export async function openPrimary({ sentinels, primaryName, primary }: SentinelSettings, aborted: AbortSignal): Promise<Session> {
  const startedAt = primary.clock.now();
  const candidates = await findPrimary(sentinels, primaryName, aborted);
  let trouble: unknown;
  for (const address of candidates) {
    const leftMs = primary.connectTimeoutMs - (primary.clock.now() - startedAt);
    if (leftMs <= 0) break;
    try {
      return await openSession(address, { ...primary, connectTimeoutMs: leftMs }, aborted, async (client) => {
        await expectPrimary(client);
        await loadScripts(client);
      });
    } catch (error) {
      trouble = error;
    }
  }
  throw trouble;
}

/** Addresses in the order of votes; more than one only while the sentinels disagree. */
async function findPrimary(sentinels: SentinelSettings["sentinels"], primaryName: string, aborted: AbortSignal): Promise<readonly Address[]> {
  const votes = new Map<string, { readonly address: Address; count: number }>();
  let unknownTo = 0;
  let trouble: unknown;
  const polls = sentinels.map(async ({ address, settings }) => {
    try {
      const found = await ask(address, settings, primaryName, aborted);
      if (found === undefined) {
        unknownTo += 1;
        return false;
      }
      const place = placeOf(found);
      const vote = votes.get(place) ?? { address: found, count: 0 };
      vote.count += 1;
      votes.set(place, vote);
      return vote.count > sentinels.length / 2;
    } catch (error) {
      trouble = error;
      return false;
    }
  });
  // A majority is enough: a sentinel that is away should not delay the rest.
  await new Promise<void>((resolve) => {
    for (const poll of polls) {
      poll.then((isMajority) => {
        if (isMajority) resolve();
      });
    }
    Promise.all(polls).then(() => resolve());
  });
  if (votes.size > 0) return [...votes.values()].sort((one, other) => other.count - one.count).map((vote) => vote.address);
  if (unknownTo > 0) throw connectFault("the sentinels' primary", new Error(`no sentinel knows a primary named ${JSON.stringify(primaryName)}`));
  throw trouble;
}

async function ask(address: Address, settings: SessionSettings, primaryName: string, aborted: AbortSignal): Promise<Address | undefined> {
  let reply: unknown;
  const session = await openSession(address, settings, aborted, async (client) => {
    reply = await client.sendCommand(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", primaryName]);
  });
  session.destroy();
  if (reply === null) return undefined;
  const [host, port] = reply as readonly [Buffer, Buffer];
  return { host: host.toString(), port: Number(port.toString()) };
}

/** Just after a failover sentinels may still name the old one. */
async function expectPrimary(client: RawClient): Promise<void> {
  const [role] = (await client.sendCommand(["ROLE"]).catch((error: Error) => {
    // Users without this permission take the sentinels' word for it.
    if (error.message.startsWith("NOPERM")) return [Buffer.from("master")];
    throw error;
  })) as readonly [Buffer];
  if (role.toString() !== "master") throw new Error("it is a replica, although a sentinel names it as the primary");
}
