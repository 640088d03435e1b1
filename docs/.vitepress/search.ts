// How the search box of the site ranks, for the site itself and for the tests.

/** An option of minisearch. Must not name anything outside of it: the site keeps its text. */
const boostDocument = (address: string): number => {
  if (address.startsWith("/guide/")) return 2;
  return /^\/(?:decisions|protocol|reference\/(?:counter-examples|promises)|architecture)/.test(address) ? 0.2 : 1;
};

/** Guides first, then other caches; how hotset is made, last. */
export const SEARCH_OPTIONS = {
  fuzzy: 0.2,
  prefix: true,
  boost: { title: 4, text: 2, titles: 1 },
  boostDocument,
};
