import { createHmac, hash, randomBytes } from "node:crypto";
import type { KeySpace } from "../keys/key-space.ts";

/** Where a session is kept. */
export interface Place {
  readonly key: string;
  /** Names the session, and gives no access: with hashed ids the id cannot be computed from it. */
  readonly handle: string;
}

export interface PlaceSettings {
  readonly prefix: string;
  readonly hashIds: boolean;
  readonly secret: string | Buffer | undefined;
}

const TAG_LENGTH = 4;
const TAG_BYTES = 3;
/** 128 bits. */
const SECRET_BYTES = 16;

/** Without braces, which would move a key to another slot, and without what a pattern of SCAN would read. */
export const ID: RegExp = /^[A-Za-z0-9_.:,+/=@-]{1,256}$/;
const HASHED_HANDLE = /^[A-Za-z0-9_.:,+/=@-]{1,4}\.[A-Za-z0-9_-]{43}$/;

/**
 * Which key belongs to which id.
 *
 *   id                 Xa3_  kJ9...        4 characters that `regenerate` keeps, then 128 random bits
 *   key                session:{Xa3_}:<HMAC-SHA-256 of the id>
 *   key, hashIds off   sess:<id>           as connect-redis has it
 *   of a user          session:~user:{<user>}:epoch, session:~user:{<user>}:index
 */
export class Places {
  readonly #prefix: string;
  readonly #hashIds: boolean;
  readonly #secret: string | Buffer | undefined;

  constructor(settings: PlaceSettings) {
    this.#prefix = settings.prefix;
    this.#hashIds = settings.hashIds;
    this.#secret = settings.secret;
  }

  /** With the tag of another id, so that both lie in one slot; without one, with a random tag. */
  newId(like?: string): string {
    const tag = like === undefined ? randomBytes(TAG_BYTES).toString("base64url") : like.slice(0, TAG_LENGTH);
    return tag + randomBytes(SECRET_BYTES).toString("base64url");
  }

  /** `undefined` for text that no session has as its id. */
  ofId(id: string): Place | undefined {
    if (!ID.test(id)) return undefined;
    if (!this.#hashIds) return { key: this.#prefix + id, handle: id };
    const hashed =
      this.#secret === undefined
        ? hash("sha256", id, "base64url")
        : createHmac("sha256", this.#secret).update(id).digest("base64url");
    return this.#hashed(id.slice(0, TAG_LENGTH), hashed);
  }

  ofHandle(handle: string): Place | undefined {
    if (!this.#hashIds) return this.ofId(handle);
    if (!HASHED_HANDLE.test(handle)) return undefined;
    const dot = handle.lastIndexOf(".");
    return this.#hashed(handle.slice(0, dot), handle.slice(dot + 1));
  }

  /** The handle of a session's key; `undefined` for the keys of users. */
  handleOf(key: string): string | undefined {
    const rest = key.slice(this.#prefix.length);
    if (!this.#hashIds) return ID.test(rest) ? rest : undefined;
    const parts = /^\{(.+)\}:(.+)$/.exec(rest);
    return parts === null ? undefined : `${parts[1]}.${parts[2]}`;
  }

  /** Keys of a user, with one hash tag. No id begins with `~`, so neither is the key of a session. */
  ofUser(userId: string, space: KeySpace): readonly [epoch: string, index: string] {
    const user = `${this.#prefix}~user:${space.hashTagged(userId)}`;
    return [`${user}:epoch`, `${user}:index`];
  }

  /** Matches all keys, those of users too. The prefix has no character that a pattern reads otherwise. */
  get pattern(): string {
    return `${this.#prefix}*`;
  }

  #hashed(tag: string, hash: string): Place {
    return { key: `${this.#prefix}{${tag}}:${hash}`, handle: `${tag}.${hash}` };
  }
}
