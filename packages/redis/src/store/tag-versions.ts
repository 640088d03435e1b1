import type { TagVersion, TagVersions } from "@hotset/core";
import type { Announcement, Script } from "../lua/script.ts";
import { MAX_VERSION_BYTES, PIN, RENEW, UNCHANGED_SINCE } from "../lua/tag-scripts.ts";
import { afterThisTurn } from "../primitives/after-this-turn.ts";
import { isRefusal, unlessRefused } from "../primitives/faults.ts";
import { ignore } from "../primitives/ignore.ts";
import type { WriteIds } from "./entry-fields.ts";
import type { RedisKeys } from "./redis-keys.ts";
import { orRejected } from "./steps.ts";

type Pin = Awaited<ReturnType<TagVersions["pin"]>>;

/** Sends one command, to the node of its first key. @param script the script that the command names by its hash. */
export type SendTagCommand = (args: (string | Buffer)[], script?: Script) => Promise<unknown>;

/**
 * Tag versions in Redis, as strings `hard|soft`. All tags of one cache lie in one slot, so each call is one trip.
 *
 * Untagged reads of a namespace all need the same versions: those of one tick share one MGET, which is sent at the end
 * of that tick.
 */
export class RedisTagVersions implements TagVersions {
  readonly #send: SendTagCommand;
  readonly #keys: RedisKeys;
  readonly #newId: WriteIds;
  readonly #announce: Announcement;
  readonly #now: () => number;
  /** When the script prolonged the lives of a tag and of its issuer last. */
  readonly #prolongedAt = new Map<string, number>();
  readonly #sharedReads = new Map<string | readonly string[], Promise<readonly (TagVersion | undefined)[]>>();
  readonly #parsed = new Map<string, TagVersion>();

  constructor(send: SendTagCommand, keys: RedisKeys, newId: WriteIds, announce: Announcement, now: () => number) {
    this.#send = send;
    this.#keys = keys;
    this.#newId = newId;
    this.#announce = announce;
    this.#now = now;
  }

  read(tags: readonly string[]): Promise<readonly (TagVersion | undefined)[]> {
    const of = tags.length === 1 ? tags[0]! : tags;
    let read = this.#sharedReads.get(of);
    if (read !== undefined) return read;
    read = this.#read(tags);
    // node-redis writes the commands of one turn of the loop together, from a setImmediate.
    if (this.#sharedReads.size === 0) afterThisTurn(() => this.#sharedReads.clear());
    this.#sharedReads.set(of, read);
    return read;
  }

  async pin(tags: readonly string[]): Promise<Pin> {
    if (tags.length === 0) return { at: "", versions: [] };
    const pins = await this.#inSteps(tags, async (some) => (await unlessRefused(this.#plain(some))) ?? this.#pin(some));
    // The first is the oldest: a tag that was renewed since then may have been.
    return { at: pins[0]!.at, versions: pins.flatMap(({ versions }) => versions) };
  }

  async unchangedSince(at: string, tags: readonly string[]): Promise<readonly (TagVersion | undefined)[]> {
    if (tags.length === 0) return [];
    const replies = await this.#inSteps(tags, (some) => this.#run(UNCHANGED_SINCE, some, at) as Promise<Buffer[]>);
    return replies.flatMap((some) => some.map((version) => this.#parse(version)));
  }

  async renew(tags: readonly string[], mode: Parameters<TagVersions["renew"]>[1]): Promise<void> {
    await this.#inSteps(tags, (some) => this.#run(RENEW, some, mode));
  }

  /**
   * One script, and when it is answered the others, 16 at a time, each over a few of the tags: no other client waits
   * for a long one.
   */
  async #inSteps<T>(tags: readonly string[], step: (some: readonly string[]) => Promise<T>): Promise<T[]> {
    const parts = Array.from({ length: Math.ceil(tags.length / MOST_TAGS) }, (_, i) =>
      tags.slice(i * MOST_TAGS, (i + 1) * MOST_TAGS),
    );
    const replies: T[] = [];
    while (replies.length < parts.length) {
      const some = parts.slice(replies.length, replies.length + (replies.length === 0 ? 1 : 16));
      replies.push(...(await Promise.all(some.map(step))));
    }
    return replies;
  }

  #read(tags: readonly string[]): Promise<readonly (TagVersion | undefined)[]> {
    if (tags.length === 0) return Promise.resolve([]);
    const found = orRejected(() => this.#send(["MGET", ...tags.map((tag) => this.#keys.entry(tag))]));
    return found.then((versions) => (versions as (Buffer | null)[]).map((version) => this.#parse(version)));
  }

  /** After a change: the position first, as a tag may be renewed in between. Nothing is prolonged, or issued. */
  async #plain(tags: readonly string[]): Promise<Pin | undefined> {
    const since = this.#now() - PROLONG_MS;
    if (!tags.every((tag) => this.#prolongedAt.get(tag)! > since)) return undefined;
    // First: it fails while the primary is lost, whose replicas answer for it. They answer commands in capitals alone.
    const position = this.#send(["hmget", this.#keys.issuer(tags[0]!), "id", "n"]);
    const [parts, versions] = await Promise.all([position, this.#read(tags)]);
    const at = (parts as readonly unknown[]).join(".");
    return POSITION.test(at) && versions.every((version) => version !== undefined) ? { at, versions } : undefined;
  }

  /**
   * Where the script was not run, the issuer was not read by it: the load continues, and its tags must be reported.
   * Every user may send a read of versions; for a hash it finds nothing, and Redis remembers who asked.
   */
  async #pin(tags: readonly string[]): Promise<Pin> {
    const now = this.#now();
    try {
      const [at, ...versions] = (await this.#run(PIN, tags)) as [Buffer, ...Buffer[]];
      if (this.#prolongedAt.size + tags.length > MAX_PROLONGED) this.#prolongedAt.clear();
      for (const tag of tags) this.#prolongedAt.set(tag, now);
      return { at: String(at), versions: versions.map((version) => this.#parse(version)!) };
    } catch (error) {
      if (isRefusal(error)) await this.#send(["MGET", this.#keys.issuer(tags[0]!)]).catch(ignore);
      throw error;
    }
  }

  #run(script: Script, tags: readonly string[], ...more: string[]): Promise<unknown> {
    const keys = [this.#keys.issuer(tags[0]!), ...tags.map((tag) => this.#keys.entry(tag))];
    const { channel, sender } = this.#announce;
    const id = this.#newId().slice(0, ISSUER_ID_LENGTH);
    const args = ["EVALSHA", script.sha, String(keys.length), ...keys, id, String(LIFE_MS), ...more, channel, sender];
    return this.#send(args, script);
  }

  /** Few versions are current at a time, and each comes again with every read. */
  #parse(version: Buffer | null): TagVersion | undefined {
    if (version === null || version.length === 0 || version.length > MAX_VERSION_BYTES) return undefined;
    const text = version.toString("latin1");
    let parsed = this.#parsed.get(text);
    if (parsed === undefined) {
      const bar = text.indexOf("|");
      // The same rule for an invalid version as in the scripts.
      if (bar < 1 || bar !== text.lastIndexOf("|") || bar === text.length - 1) return undefined;
      parsed = { hard: text.slice(0, bar), soft: text.slice(bar + 1) };
      if (this.#parsed.size >= MAX_PARSED) this.#parsed.clear();
      this.#parsed.set(text, parsed);
    }
    return parsed;
  }
}
/** 48 random bits: each entry carries the id in its versions, and a lost issuer is rarely made again. */
const ISSUER_ID_LENGTH = 8;
/** The same rule for an invalid issuer as in the scripts, which replace it. */
const POSITION = /^[\w-]{1,16}\.\d{1,15}$/;
const LIFE_MS = 30 * 86_400_000;
/** Texts of versions that are kept parsed. */
const MAX_PARSED = 1_000;
/** Time between two prolongations: far below half of the life of a version. */
const PROLONG_MS = 6 * 3_600_000;
/** Tags whose last prolongation is remembered. A forgotten tag costs a script in place of two plain reads. */
const MAX_PROLONGED = 10_000;
/** Tags of one script. Renewals come in steps of one script; this is for pins, which do not. */
const MOST_TAGS = 63;
