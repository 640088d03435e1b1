import { CacheError } from "@hotset/core";
import { errorPage } from "@hotset/core/internal";

declare module "@hotset/core" {
  interface CacheErrorCodes {
    /** A session has another version than the one that a change expects. */
    readonly SESSION_CONFLICT: true;
  }
}

/** `update` with `ifVersion`: the session has changed since it was read. Nothing was written. */
export class SessionConflictError extends CacheError {
  override readonly name = "SessionConflictError";
  override readonly code = "SESSION_CONFLICT";
  override readonly url: string = errorPage(this.code);

  constructor() {
    super("update: the session has changed since this version; read it again");
  }
}
