/** A glob of Redis with `*`, `?` and sets as an expression. */
export function globOf(pattern: string): RegExp {
  const parts = pattern.match(/\\.|\[(?:\\.|[^\]])*\]|./gs) ?? [];
  const source = parts.map((part) => {
    if (part === "*") return ".*";
    if (part === "?") return ".";
    if (part.startsWith("[") && part.length > 2) return part;
    return escaped(part.length === 2 && part.startsWith("\\") ? part[1]! : part);
  });
  try {
    return new RegExp(`^${source.join("")}$`, "s");
  } catch {
    // A set such as [z-a].
    return new RegExp(`^${escaped(pattern)}$`, "s");
  }
}

const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`);
