/**
 * Milliseconds since 1970 of an HTTP date in one of its three forms (RFC 9110, section 5.6.7); `undefined` for anything
 * else. `Date.parse` accepts far more, and reads it in the time zone of the machine.
 *
 * @param nowMs a two-digit year is within 50 years of it.
 */
export function parseDate(text: string | undefined, nowMs: number): number | undefined {
  if (text === undefined || text.length > LONGEST) return undefined;
  // One answer is asked for its Date several times, and those of one second have the same.
  if (text === latest.text) return latest.at;
  const at = parse(text, nowMs);
  // No other form is as long: the year of one may have two digits.
  if (text.length === LATEST.length) latest = { text, at };
  return at;
}

const LATEST = "Sun, 06 Nov 1994 08:49:37 GMT";
let latest: { readonly text: string; readonly at: number | undefined } = { text: "", at: undefined };

function parse(text: string, nowMs: number): number | undefined {
  const lower = text.toLowerCase();
  const groups = (IMF_FIXDATE.exec(lower) ?? RFC_850.exec(lower) ?? ASCTIME.exec(lower))?.groups;
  if (groups === undefined) return undefined;
  const month = MONTHS.indexOf(groups["month"]!);
  const [day, hour, minute, second] = [groups["day"], groups["hour"], groups["minute"], groups["second"]].map(Number);
  if (month < 0 || hour! > 23 || minute! > 59 || second! > 60 || day! < 1) return undefined;
  const year = groups["year"]!.length === 2 ? fullYear(Number(groups["year"]), nowMs) : Number(groups["year"]);
  // `Date.UTC` reads years below 100 as those of the last century, and carries day 31 of a short month over.
  const date = new Date(0);
  date.setUTCFullYear(year, month, day);
  if (date.getUTCDate() !== day) return undefined;
  return date.setUTCHours(hour!, minute, second);
}

/** One that appears to be more than 50 years in the future is the most recent past year with the same digits. */
function fullYear(digits: number, nowMs: number): number {
  const now = new Date(nowMs).getUTCFullYear();
  const year = now - (now % 100) + digits;
  return year > now + 50 ? year - 100 : year;
}

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const TIME = String.raw`(?<hour>\d\d):(?<minute>\d\d):(?<second>\d\d)`;
/** `Sun, 06 Nov 1994 08:49:37 GMT` */
const IMF_FIXDATE = new RegExp(
  String.raw`^(?:mon|tue|wed|thu|fri|sat|sun), (?<day>\d\d) (?<month>[a-z]{3}) (?<year>\d{4}) ${TIME} gmt$`,
);
/** `Sunday, 06-Nov-94 08:49:37 GMT` */
const RFC_850 = new RegExp(
  String.raw`^(?:mon|tues|wednes|thurs|fri|satur|sun)day, (?<day>\d\d)-(?<month>[a-z]{3})-(?<year>\d\d) ${TIME} gmt$`,
);
/** `Sun Nov  6 08:49:37 1994` */
const ASCTIME = new RegExp(
  String.raw`^(?:mon|tue|wed|thu|fri|sat|sun) (?<month>[a-z]{3}) (?<day>[ \d]\d) ${TIME} (?<year>\d{4})$`,
);
const LONGEST = 40;
