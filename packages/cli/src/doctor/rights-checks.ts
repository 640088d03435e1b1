import { isUnanswered, type Facts, type Known, type PrimaryFacts } from "./facts.ts";
import type { Finding } from "./finding.ts";
import { orNone } from "./primaries.ts";

/** Modules whose user may do a part of what they need. */
export function checkRights({ rights, user }: Facts): readonly Finding[] {
  const name = "value" in user ? user.value : "of this connection";
  return orNone(rights).flatMap(({ module, granted, reason, missing }): readonly Finding[] => {
    // Not one of its users: another service has the keys that were found.
    if (granted === "all" || (granted === "none" && reason === "found")) return [];
    return [
      {
        check: "rights",
        severity: "error",
        found:
          `the user ${name} may not do all that ${module} needs: it lacks ` +
          `${missing.slice(0, 8).join(" ")}${missing.length > 8 ? ` and ${missing.length - 8} more` : ""}`,
        evidence: { module, user: name, missing },
        fix:
          `ACL SETUSER ${"value" in user ? user.value : "<user>"} ${missing.slice(0, 8).join(" ")}; ` +
          "docs/operations/users.acl has a line for each module",
      },
    ];
  });
}

export function checkTracking({ tracking, sample, rights, isResp3Refused }: Facts): readonly Finding[] {
  const hasCaches =
    orNone(rights).some(({ module, granted }) => module === "cache" && granted !== "none") && "value" in sample;
  if (!hasCaches || isResp3Refused || !("value" in tracking) || tracking.value) return [];
  return [
    {
      check: "tracking",
      severity: "error",
      found: "CLIENT TRACKING is refused: each copy in the memory of a process is confirmed by Redis at each read",
      evidence: { tracking: "refused", needs: "+client|tracking" },
      fix:
        'grant +client|tracking +client|trackinginfo, or set coherence("pubsub") in each cache; where ' +
        'there is no such command, coherence("none") with localTtl',
    },
  ];
}

/** Questions that this user may not ask. That is not a fault of the server. */
export function checkAccess({ primaries, sample, rights, tracking }: Facts): readonly Finding[] {
  const hasSizes = !("value" in sample) || sample.value.hasSizes;
  const hidden = "value" in sample ? sample.value.keys.filter(({ type }) => type === "").length : 0;
  const asked: readonly (readonly [what: string, known: Known<unknown>, right: string])[] = [
    ...primaries
      .filter(isAnswering)
      .flatMap(({ info, config, clients, slow }) => [
        ["memory, eviction and persistence", info, "+info"] as const,
        ["output buffers and other settings", config, "+config|get"] as const,
        ["the protocol of other clients", clients, "+client|list"] as const,
        ["commands that were slow", slow, "+slowlog|get"] as const,
      ]),
    ["the keys", sample, "+scan +type +pttl ~*"],
    [
      `${hidden} of the keys`,
      hidden === 0 ? { value: true } : { refused: "NOPERM" },
      "+type +pttl, and ~ with their names",
    ],
    ["the sizes of keys", hasSizes ? { value: true } : { refused: "NOPERM" }, "+memory|usage"],
    ["the rights of its user", rights, "+multi +discard"],
    ["tracking", tracking, "+client|tracking"],
  ];
  const findings = new Map<string, Finding>();
  for (const [what, known, right] of asked)
    if ("refused" in known)
      findings.set(what, {
        check: "access",
        severity: "info",
        found: `${what} could not be looked at: ${known.refused}`,
        evidence: { needs: right, reason: known.refused },
        fix: isUnanswered(known)
          ? "run hotset doctor again when all servers answer"
          : known.refused === "ERR"
            ? "look at the console of its service, where such settings are made as well"
            : `grant ${right} to the user of hotset doctor, or look yourself`,
      });
  return [...findings.values()];
}

/** One that does not is a separate finding. */
const isAnswering = ({ roundTripMs }: PrimaryFacts): boolean => !isUnanswered(roundTripMs);
