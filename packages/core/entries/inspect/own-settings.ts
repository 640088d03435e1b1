import type { Place } from "./place.ts";
import { VERSION } from "./version.ts";

/** Variables by which build systems and hosts name what runs, the first that is set. */
const RELEASES = [
  ...["RELEASE", "GIT_COMMIT", "GIT_SHA", "COMMIT_SHA", "SOURCE_VERSION", "VERCEL_GIT_COMMIT_SHA"],
  ...["RENDER_GIT_COMMIT", "RAILWAY_GIT_COMMIT_SHA", "HEROKU_SLUG_COMMIT", "K_REVISION"],
];

/** An instant, the words in which `ttl` was given ("1m" and 60_000 are one setting), and what decides no answer. */
const NO_SETTINGS: readonly string[] = ["loadedAfter", "givenTtl", "verify"];
const MAX_TEXT = 100;

/**
 * What decides the answers of a cache in this process, by name: processes of one cache are compared by it.
 */
export function settingsOf(place: Place, release = releaseOf()): Readonly<Record<string, string>> {
  const { backend, context, namespace } = place.parts;
  const policy = Object.entries(namespace.policy).filter(([name]) => !NO_SETTINGS.includes(name));
  const settings: Record<string, unknown> = {
    hotset: VERSION,
    release,
    coherence: coherenceOf(place),
    "value format": backend?.format.id,
    compression: backend?.compressor.id,
    seal: backend?.sealedBy ?? "none",
    "key prefix": backend?.sealScope,
    database: (backend as { readonly database?: unknown } | undefined)?.database,
    maxLoads: context.loads.limit,
  };
  for (const [name, value] of policy) settings[`default ${name.replace(/Ms$/, "")}`] = value;
  const isText = (value: unknown): boolean => ["string", "number", "boolean"].includes(typeof value);
  return Object.fromEntries(
    Object.entries(settings).flatMap(([name, value]) =>
      isText(value) ? [[name, String(value).slice(0, MAX_TEXT)]] : [],
    ),
  );
}

/** How the backend reports changes: `tracking`, `pubsub` or `changes`; `none` where it does not. */
export function coherenceOf({ parts: { backend } }: Place): string {
  const { coherenceMode } = (backend ?? {}) as { readonly coherenceMode?: unknown };
  if (typeof coherenceMode === "string") return coherenceMode;
  return typeof backend?.coherence === "object" ? "changes" : "none";
}

function releaseOf(): string | undefined {
  if (typeof process === "undefined") return undefined;
  return RELEASES.map((name) => process.env[name]).find((value) => value !== undefined && value !== "");
}
