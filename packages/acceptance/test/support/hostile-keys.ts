/** What a key may look like, and be mistaken for. */
export const HOSTILE_KEYS: readonly string[] = [
  "a", "A", "a:b", "a::b", ":", "::", ":a", "a:", "a%3Ab", "%", "%25", "100%",
  "*", "a*", "?", "a?", "[a]", "[", "{a}", "{", "}", "{}", "{}a", "{~test}::t", "{~~test}::", "test::a", "hotset:test::a", "~lease:a",
  " ", "a b", " a", "a ", "a\tb", "a\r\nb", "\0", "\0a", "a\0", "\0\0a", "\u0001", "\u0001a\0b", "\0users\0k",
  "\u{1f98a}", "\u00e9", "e\u0301", "\u200b", "\ufeff", "\uffff",
  "__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "then", "null", "undefined", "0", "-0", "00", "NaN",
  "#", "#a", "##", "../../a", "/", "\\", "\"", "'", "$&", "$1", "shop@2", "@", "~", "+", "&=", "k".repeat(1_000), "k".repeat(65_536), `${"k".repeat(65_535)}l`,
];
