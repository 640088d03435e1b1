// How the search box of the site ranks, for the site itself and for the tests.

/** Functions are options of minisearch, and must not name anything outside of them: the site keeps their text. */
const boostDocument = (address: string): number => {
  if (address.startsWith("/guide/")) return 2;
  return /^\/(?:decisions|protocol|reference\/(?:counter-examples|promises)|architecture)/.test(address) ? 0.2 : 1;
};

/** Of five letters and fewer another is another word: stale, state. */
const fuzzy = (word: string): number | false => word.length > 5 && 0.2;

/** Guides first, then other caches; how hotset is made, last. */
export const SEARCH_OPTIONS = {
  fuzzy,
  prefix: true,
  boost: { title: 4, text: 2, titles: 1 },
  boostDocument,
};
