import type { Link } from "./link.ts";
import type { NodeClient, Session } from "./session.ts";

/** One primary on its own. */
export interface Primary {
  /** For messages: host and port, or a path. */
  readonly address: string;
  readonly link: Pick<Link, "queue" | "admit">;
}

export interface SessionRequest {
  /** Decides the node in a cluster. Absent: any primary. */
  readonly key?: string | Buffer | undefined;
  readonly aborted: AbortSignal;
  /** Awaited before the connection counts as open. */
  readonly prepare: (client: NodeClient) => Promise<void>;
}

/** The servers behind one link. Each topology implements it, so code above is the same for all. */
export interface Servers {
  /** Whether keys lie on several servers. */
  readonly isCluster: boolean;
  /** Every primary there is now. @throws {BackendUnavailableError} when none can be found. */
  primaries(): Promise<readonly Primary[]>;
  /** Opens a separate connection to a primary. @throws {BackendUnavailableError} */
  openSession(request: SessionRequest): Promise<Session>;
  /** Where a session for `key` leads, as far as known. `undefined` where every session leads to one place. */
  nodeOf(key: string | Buffer | undefined): string | undefined;
  /** A server answered that it does not serve a key: where keys lie is looked up again, in the background. */
  refresh(): void;
}

/** A topology with one primary. */
export const oneServer = (
  link: Pick<Link, "queue" | "admit" | "connect"> & { readonly address: string | undefined },
  openSession: Servers["openSession"],
): Servers => ({
  isCluster: false,
  async primaries() {
    await link.connect();
    return [{ address: link.address ?? "the primary", link }];
  },
  openSession,
  nodeOf: () => undefined,
  refresh: () => undefined,
});
