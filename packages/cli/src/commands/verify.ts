import { parseDuration } from "@hotset/core";
import type { Verification } from "@hotset/core/inspect";
import { shown, type Arguments } from "../arguments.ts";
import type { Answer, Command } from "../command.ts";
import { UnreachableError, UsageError } from "../errors.ts";
import { EXIT, type Io } from "../io.ts";
import { table } from "../output/table.ts";
import { cut, durationText, safe } from "../output/text.ts";
import { checkWords } from "../places.ts";

const SAMPLE = { fallback: 200, max: 10_000 };
const PER_MINUTE = { fallback: 600, max: 6_000 };
const FOR_MS = { fallback: 60_000, max: 600_000, min: 1_000 };
/** For what runs at the end, and for the network. */
const MARGIN_MS = 15_000;

export const verify: Command = {
  name: "verify",
  summary: "compares values that a service serves with their source",
  words: "<url of an inspector>",
  about: [
    "Asks the inspector of a service, at the URL under which it is mounted, to compare the next fresh hits with what their",
    "loaders give: only the service knows them. It does so where the cache has the option verify, or the inspector",
    "allows changes. INSPECTOR_TOKEN is sent as Authorization: Bearer. Ends with 1 if values differ.",
  ],
  options: {
    cache: { value: "<name>", text: "one cache of that inspector, if it has several" },
    sample: { value: "<n>", text: `so many values; default: ${SAMPLE.fallback}` },
    for: { value: "<duration>", text: "end after this time, at most 10 min; default: 1m" },
    "per-minute": { value: "<n>", text: `loads a minute at most; default: ${PER_MINUTE.fallback}` },
  },
  check(given) {
    checkWords(given, ["the URL of an inspector, such as http://localhost:3000/hotset"], { least: 1 });
    urlOf(given);
    given.count("sample", SAMPLE);
    given.count("per-minute", PER_MINUTE);
    forMsOf(given);
  },
  elsewhere: (given, io) => sampled(given, io),
  // Never called: it needs no Redis.
  run: () => Promise.resolve(undefined),
};

function urlOf(given: Arguments): URL {
  const [text = ""] = given.words;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol))
    throw new UsageError(`the inspector must be a URL such as http://localhost:3000/hotset, got ${shown(text)}`);
  return new URL(`${url.origin}${url.pathname.replace(/\/$/, "")}/api/verify`);
}

function forMsOf(given: Arguments): number {
  const text = given.text("for");
  if (text === undefined) return FOR_MS.fallback;
  try {
    const ms = parseDuration(text);
    if (ms >= FOR_MS.min && ms <= FOR_MS.max) return Math.ceil(ms);
  } catch {
    // The sentence below says what is accepted.
  }
  throw new UsageError(`--for must be from 1 s to 10 min, such as 2m, got ${shown(text)}`);
}

type Sampled = Verification & { readonly cache: string };

async function sampled(given: Arguments, io: Io): Promise<Answer> {
  const url = urlOf(given);
  const forMs = forMsOf(given);
  const token = io.variables["INSPECTOR_TOKEN"];
  const sample = given.count("sample", SAMPLE);
  const cache = given.text("cache");
  const asked = {
    sample,
    forMs,
    perMinute: given.count("per-minute", PER_MINUTE),
    ...(cache !== undefined && { cache }),
  };
  io.complain(`hotset: comparing up to ${sample} values, for at most ${durationText(forMs)}\n`);
  let response: Response;
  try {
    response = await fetch(url, {
      method: "POST",
      headers: {
        ...{ "content-type": "application/json", "x-hotset-inspector": "1" },
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify(asked),
      signal: AbortSignal.any([io.signal, AbortSignal.timeout(forMs + MARGIN_MS)]),
    });
  } catch (error) {
    const { cause, message } = error as Error;
    throw new UnreachableError(
      `the inspector at ${url.origin} did not answer: ${cause instanceof Error ? cause.message : message}`,
    );
  }
  const text = await response.text();
  if (!response.ok) throw new Error(`the inspector answered ${response.status}: ${reasonIn(text)}`);
  const found = JSON.parse(text) as Sampled;
  return {
    exitCode: found.different > 0 ? EXIT.findings : EXIT.fine,
    json: { version: 1, ...found },
    text: textOf(found),
  };
}

function reasonIn(text: string): string {
  try {
    return String((JSON.parse(text) as { readonly error?: unknown }).error);
  } catch {
    return text.trim().slice(0, 200);
  }
}

function textOf({ cache, checked, different, changed, unsteady, failed, leftOut, mismatches }: Sampled): string {
  const rest = [
    [changed, "changed meanwhile"],
    [unsteady, "differ from load to load"],
    [failed, "could not be loaded"],
    [leftOut, "are stored for nobody"],
  ].flatMap(([count, what]) => (count === 0 ? [] : [`${count} ${what}`]));
  const head = `${safe(cache)}: ${different} of ${checked} compared values differ from their source${rest.length === 0 ? "" : `; ${rest.join(", ")}`}`;
  if (mismatches.length === 0) return head;
  const rows = mismatches.map(({ namespace, key, fields, verdict, why, ageMs }) => [
    cut([...namespace, key].join(" › "), 80),
    fields.join(", "),
    why === undefined ? verdict : `${verdict}: ${why}`,
    ageMs === undefined ? "" : durationText(ageMs),
  ]);
  return [head, "", table(["key", "fields", "verdict", "age"], rows)].join("\n");
}
