/** The response of Express or of Fastify, as far as both have the same. */
export interface Reply {
  readonly statusCode: number;
  getHeaders(): Readonly<Record<string, unknown>>;
}

interface Head {
  readonly status: number | undefined;
  /** By their names in lower case. */
  readonly headers: Readonly<Record<string, unknown>>;
}

/** Changes that a handler made: absent where it made none. */
export interface Changes {
  readonly status?: number | undefined;
  readonly headers?: Readonly<Record<string, unknown>> | undefined;
}

/** The status and a copy of the header fields of `reply`, as they are now. None of both without HTTP. */
export const headOf = (reply: Reply | undefined): Head =>
  reply === undefined
    ? { status: undefined, headers: {} }
    : { status: reply.statusCode, headers: { ...reply.getHeaders() } };

export function changesOf(before: Head, after: Head): Changes {
  const set = Object.entries(after.headers).filter(([name, value]) => String(before.headers[name]) !== String(value));
  return {
    ...(after.status !== undefined && after.status !== before.status && { status: after.status }),
    ...(set.length > 0 && { headers: Object.fromEntries(set) }),
  };
}
