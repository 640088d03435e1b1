/**
 * Arguments of a command as text, since a request is JSON. Text, and bytes that are UTF-8, stay as they are. In other
 * bytes each one from 0x80 on becomes the character of that number, and each one below 0x20, which JSON would write as
 * six, the character 0x100 higher: two bytes of UTF-8 for each of these, which a script turns back by one table.
 */
export interface TextArguments {
  readonly words: readonly string[];
  /** The positions of words that were bytes, from 0 on. */
  readonly coded: readonly number[];
}

/** @throws {TypeError} for an argument that is no text and no bytes. */
export function textArguments(args: readonly (string | Uint8Array)[]): TextArguments {
  const coded: number[] = [];
  const words = args.map((arg, i) => {
    if (typeof arg === "string") return arg;
    if (!(arg instanceof Uint8Array)) throw new TypeError(`an argument must be text or bytes, got ${typeof arg}`);
    const text = plainText(arg);
    if (text !== undefined) return text;
    coded.push(i);
    return codedText(arg);
  });
  return { words, coded };
}

/** Lua that turns the arguments whose positions are listed in `coded` into bytes, and keys with a `k` before theirs. */
export const DECODE_ARGUMENTS = `if coded ~= '' then
  local bytes, char = {}, string.char
  for i = 0, 63 do
    local second = char(128 + i)
    bytes['\\194' .. second] = second
    bytes['\\195' .. second] = char(192 + i)
    if i < 32 then bytes['\\196' .. second] = char(i) end
  end
  for of, i in string.gmatch(coded, '(k?)(%d+)') do
    local list = of == 'k' and KEYS or ARGV
    i = tonumber(i)
    list[i] = (string.gsub(list[i], '[\\194-\\196][\\128-\\191]', bytes))
  end
end`;

const UTF8 = new TextDecoder("utf8", { fatal: true, ignoreBOM: true });

/** `undefined` for bytes that are not UTF-8, or have characters that JSON writes as six. */
function plainText(bytes: Uint8Array): string | undefined {
  if (bytes.some((byte) => byte < 0x20)) return undefined;
  try {
    return UTF8.decode(bytes);
  } catch {
    return undefined;
  }
}

function codedText(bytes: Uint8Array): string {
  let text = "";
  // In parts: each character is an argument.
  for (let at = 0; at < bytes.length; at += PART)
    text += String.fromCharCode(
      ...Array.from(bytes.subarray(at, at + PART), (byte) => (byte < 0x20 ? byte + 0x100 : byte)),
    );
  return text;
}

const PART = 8_192;

/** So many bytes of an argument need no more than `jsonBytes`: a quotation mark takes two, and so does a coded byte. */
export const bytesWithin = (jsonBytes: number): number => Math.floor(jsonBytes / 2);
