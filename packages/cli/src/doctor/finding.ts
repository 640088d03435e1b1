/** `error`: data is lost, or calls fail. `warning`: they will, or it costs. `info`: a part could not be looked at. */
export type Severity = "error" | "warning" | "info";

/** Names of checks, as `--ignore` names it. */
export const CHECKS = [
  "access",
  "server",
  "protocol",
  "memory",
  "eviction",
  "persistence",
  "rights",
  "tracking",
  "pubsub",
  "ttl",
  "size",
  "clients",
  "latency",
  "cluster",
  "processes",
  "publication",
  "identity",
  "slots",
  "room",
] as const;

export type CheckName = (typeof CHECKS)[number];

export interface Finding {
  readonly check: CheckName;
  readonly severity: Severity;
  /** One sentence. Names of keys may be in it, values never. */
  readonly found: string;
  /** The numbers and settings that it is drawn from. */
  readonly evidence: Readonly<Record<string, string | number | readonly string[]>>;
  /** The remedy, in one sentence. */
  readonly fix: string;
}

export const RANK: Readonly<Record<Severity, number>> = { error: 0, warning: 1, info: 2 };
