/**
 * One range of a complete body (RFC 9110, section 14.1.2), from `from` to before `to`; `unsatisfiable` when it begins
 * behind the end. `undefined`: the whole body answers, as for several ranges, other units, and malformed ones.
 */
export function rangeOf(
  field: string | undefined,
  size: number,
): { readonly from: number; readonly to: number } | "unsatisfiable" | undefined {
  const groups = field === undefined ? undefined : ONE_RANGE.exec(field.trim())?.groups;
  if (groups === undefined) return undefined;
  const [first, last] = [groups["first"]!, groups["last"]!];
  if (first === "") {
    if (last === "") return undefined;
    const suffix = Math.min(Number(last), size);
    return suffix === 0 ? "unsatisfiable" : { from: size - suffix, to: size };
  }
  const from = Number(first);
  if (last !== "" && Number(last) < from) return undefined;
  return from >= size ? "unsatisfiable" : { from, to: last === "" ? size : Math.min(size, Number(last) + 1) };
}

const ONE_RANGE = /^bytes=(?<first>\d{0,20})-(?<last>\d{0,20})$/i;
