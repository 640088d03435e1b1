import { setTimeout as sleep } from "node:timers/promises";
import type { RequestSession } from "@hotset/redis-toolkit/sessions/hono";

/** What a visitor's session holds. JSON sessions have their user here. */
export interface Shop {
  readonly user?: string;
  readonly seen?: number;
}

export type Act = (session: RequestSession<Shop>) => Promise<unknown>;

/** Sends one request with the header `Cookie`. @returns the headers `Set-Cookie` */
export type Send = (cookie: string | undefined, act: Act) => Promise<readonly string[]>;

export interface Site {
  readonly send: Send;
  readonly login: (session: RequestSession<Shop>, user: string, grace: number) => Promise<void>;
  readonly userOf: (session: RequestSession<Shop>) => string | undefined;
  readonly random: () => number;
  /** A session ends after it. */
  readonly idleMs: number;
  /** What a handler waits for. @default a few milliseconds */
  readonly pause?: (() => Promise<unknown>) | undefined;
  /** What requests do. @default all */
  readonly kinds?: readonly Kind[] | undefined;
  /** Of new ids. @default none, none, 30 ms, and a minute */
  readonly graces?: readonly number[] | undefined;
}

export type Kind = "read" | "write" | "rotate" | "login" | "logout";

interface Step {
  readonly kind: Kind;
  readonly user: string;
  readonly beganAt: number;
  endedAt: number;
}

/** A browser: the answer that arrives last counts. */
class Jar {
  sid: string | undefined;
  readonly all = new Set<string>();

  take(headers: readonly string[]): void {
    for (const header of headers) {
      const [, id, life] = /^sid=([^;]*); Max-Age=(\d+)/.exec(header)!;
      this.sid = life === "0" ? undefined : id;
      if (this.sid !== undefined) this.all.add(this.sid);
    }
  }

  get cookie(): string | undefined {
    return this.sid === undefined ? undefined : `sid=${this.sid}`;
  }
}

const KINDS: readonly Kind[] = ["read", "read", "write", "write", "rotate", "rotate", "login", "logout"];

/**
 * Three tabs of one browser, each with requests one after another: slow and quick ones, changes, new ids with and without
 * a grace, logins and logouts.
 *
 * Two logins at the same time have a cookie. A request without one, or whose session has ended, only reads or logs in: one that writes begins a session that nothing ties to the browser.
 *
 * @returns what was wrong: somebody is logged in after a logout, or was logged out by anything else. Nothing where the
 *   machine stood still for so long that sessions may have ended on their own
 */
export async function playHistory({
  send,
  login,
  userOf,
  random,
  idleMs,
  pause = () => sleep(random() < 0.3 ? random() * 60 : random() * 3),
  kinds = KINDS,
  graces = [0, 0, 30, 60_000],
}: Site): Promise<readonly string[]> {
  const startedAt = performance.now();
  const jar = new Jar();
  const steps: Step[] = [];
  let tick = 0;
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const request = async (): Promise<void> => {
    const cookie = jar.cookie;
    const planned = pick(kinds);
    const isFree = planned === "login" && !steps.some((step) => step.kind === "login" && step.endedAt === Infinity);
    const kind = cookie === undefined && !isFree ? "read" : planned;
    const grace = pick(graces);
    const step: Step = { kind, user: pick(["ada", "bob"]), beganAt: (tick += 1), endedAt: Infinity };
    steps.push(step);
    const headers = await send(cookie, async (session) => {
      await pause();
      if (kind === "write" && session.id !== undefined) session.set("seen", tick);
      if (kind === "rotate") await session.regenerate({ grace });
      if (kind === "login") await login(session, step.user, grace);
      if (kind === "logout") await session.destroy();
      if (kind === "rotate" && session.id !== undefined && random() < 0.3) session.set("seen", tick);
      await pause();
    });
    jar.take(headers);
    step.endedAt = tick += 1;
  };
  await send(undefined, async (session) => session.set("seen", 0)).then((headers) => jar.take(headers));
  const tab = async (): Promise<void> => {
    for (let left = 3 + Math.floor(random() * 4); left > 0; left -= 1) {
      await pause();
      await request();
    }
  };
  await Promise.all([tab(), tab(), tab()]);

  const changes = steps.filter(({ kind }) => kind === "login" || kind === "logout");
  // Those that no other one follows: of several at the same time, any may have been the last.
  const last = changes.filter(({ endedAt }) => !changes.some(({ beganAt }) => beganAt > endedAt));
  let user: string | undefined;
  await send(jar.cookie, async (session) => void (user = userOf(session)));
  // A login at the same time as a logout may be the later one of the two: its session lives then, though its cookie may
  // be removed, and a slow request with its id brings it back.
  const outlives = (one: Step): boolean =>
    changes.some(({ kind, beganAt, endedAt }) => kind === "logout" && beganAt < one.endedAt && one.beganAt < endedAt);
  const users = changes.flatMap((step) =>
    step.kind === "login" && (last.includes(step) || outlives(step)) ? [step.user] : [],
  );
  const wrong: string[] = [];
  const story = (): string => `${JSON.stringify(steps)}; the user is ${user}, the jar has ${jar.sid}`;
  if (user !== undefined && !users.includes(user)) wrong.push(`logged in after a logout, or as another: ${story()}`);
  if (user === undefined && last.length > 0 && last.every(({ kind }) => kind === "login"))
    wrong.push(`logged out by anything else: ${story()}`);
  // After the last logout no id that the browser ever had is of a user, unless two changes ran at the same time.
  const overlap = changes.some((one) =>
    changes.some((other) => one !== other && one.beganAt < other.beganAt && other.beganAt < one.endedAt),
  );
  if (!overlap && last.length === 1 && last[0]!.kind === "logout")
    for (const id of jar.all) {
      await send(`sid=${id}`, async (session) => void (user = userOf(session)));
      if (user !== undefined) wrong.push(`the id ${id} outlives a logout: ${story()}`);
    }
  return performance.now() - startedAt < idleMs / 2 ? wrong : [];
}

/** Of one seed, so that a history can be played again. @see https://en.wikipedia.org/wiki/Xorshift */
export function randomOf(seed: number): () => number {
  let state = (seed * 2_654_435_761) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
