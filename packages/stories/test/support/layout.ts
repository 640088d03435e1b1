/** How entries are stored in Redis by the tests that are not about one layout. */
export const LAYOUTS = ["full", "string"] as const;
export type Layout = (typeof LAYOUTS)[number];

/** `HOTSET_LAYOUT`. @default 'full' */
export const LAYOUT: Layout = layoutOf(process.env["HOTSET_LAYOUT"] ?? "full");

function layoutOf(given: string): Layout {
  const layout = LAYOUTS.find((known) => known === given);
  if (layout === undefined) throw new Error(`HOTSET_LAYOUT must be one of ${LAYOUTS.join(", ")}, got ${given}`);
  return layout;
}
