import {
  ConfigurationError,
  systemClock,
  type Backend,
  type Clock,
  type KeyWalk,
  type Leases,
  type Seal,
} from "@hotset/core";
import { Envelope } from "./envelope.ts";

/** Options of `sealed`. */
export interface SealedOptions {
  /** For tests: sealed instants are those of its `epochMs`. @default systemClock */
  readonly clock?: Clock | undefined;
}

/**
 * The backend with a seal around it: every entry is sealed before it is written, and opened after it was read. One that
 * the seal does not open is a miss, reported as `decode:error`; so is one without a seal.
 *
 * Leases, tag versions, reports of changes and all settings are those of the backend, which is closed with this one. A
 * seal that answers later has as long as a call of the backend.
 *
 * @throws {ConfigurationError} for a seal that is not one, and for a backend without room for it (`keepsMeta: false`).
 */
export function sealed(
  backend: Backend,
  seal: Omit<Seal, "around">,
  { clock = systemClock }: SealedOptions = {},
): Backend {
  check(backend, seal);
  const envelope = new Envelope(backend, seal, clock);
  const { batch, leases } = backend;
  return {
    ...settingsOf(backend),
    sealedBy: seal.id,
    async read(key) {
      return envelope.openFound(key, await backend.read(key));
    },
    async write(key, entry) {
      return backend.write(key, await envelope.seal(key, entry));
    },
    remove: (key) => backend.remove(key),
    close: () => backend.close(),
    ...(backend.connect !== undefined && { connect: () => backend.connect!() }),
    ...(backend.markStale !== undefined && { markStale: (key: string) => backend.markStale!(key) }),
    ...(backend.walk !== undefined && { walk: (walk: KeyWalk) => backend.walk!(walk) }),
    ...(batch !== undefined && {
      batch: {
        async read(keys: readonly string[]) {
          const found = await batch.read(keys);
          return Promise.all(found.map((each, i) => envelope.openFound(keys[i]!, each)));
        },
      },
    }),
    ...(leases !== undefined && { leases: leasesOf(envelope, leases) }),
  };
}

/** Members that pass unchanged. Named one by one: one of a later contract could carry entries past the seal. */
function settingsOf(backend: Backend): Pick<Backend, (typeof SETTINGS)[number]> {
  const given = SETTINGS.filter((name) => backend[name] !== undefined).map((name) => [name, backend[name]]);
  return Object.fromEntries(given) as Pick<Backend, (typeof SETTINGS)[number]>;
}

function leasesOf(envelope: Envelope, leases: Leases): Leases {
  const acquire: Leases["acquire"] = async (request) => {
    const answer = await leases.acquire(request);
    if (!("entry" in answer)) return answer;
    const entry = await envelope.open(request.key, answer.entry);
    if (entry !== undefined) return { granted: false, entry };
    // Its sealed life has just ended, and the store does not know: there is nothing to wait for.
    return acquire({ ...request, seen: answer.entry.version ?? "", isOver: true });
  };
  return {
    ...(leases.leaseMs !== undefined && { leaseMs: leases.leaseMs }),
    acquire,
    renew: (...request) => leases.renew(...request),
    release: (...request) => leases.release(...request),
    async store(key, token, seen, entry) {
      return leases.store(key, token, seen, await envelope.seal(key, entry));
    },
    async touch(key, seen, life) {
      return leases.touch(key, seen, await envelope.sealLife(key, seen, life));
    },
    confirm: (key) => leases.confirm(key),
  };
}

function check({ label, keepsMeta }: Backend, seal: Partial<Omit<Seal, "around">> | null | undefined): void {
  const hasId = typeof seal?.id === "string" && SEAL_ID.test(seal.id);
  // The message does not show what was given: it may be the secret itself.
  if (!hasId || typeof seal.seal !== "function" || typeof seal.open !== "function")
    throw new ConfigurationError(
      `${label}: seal must be a Seal, such as aesGcm({ keys }), with an id of 1 to 32 of a-z 0-9 . -`,
    );
  if (keepsMeta === false)
    throw new ConfigurationError(
      `${label}: a layout with keepsMeta: false has no room for a seal; use the full layout, or no seal`,
    );
}

const SEAL_ID = /^[a-z0-9.-]{1,32}$/;
const SETTINGS = [
  "label",
  "format",
  "compressor",
  "alsoReads",
  "deadlineMs",
  "boundsCalls",
  "breaker",
  "maxEntryBytes",
  "maxDecodedBytes",
  "sealScope",
  "keepsMeta",
  "readsLag",
  "keepsKeys",
  "parts",
  "tagVersions",
  "coherence",
] as const satisfies readonly (keyof Backend)[];
