// How the search box of the site ranks, for the site itself and for the tests.

/** Functions are options of minisearch, and must not name anything outside of them: the site keeps their text. */
const boostDocument = (address: string): number => {
  // What hotset does, before each framework that it is used in.
  if (/^\/guide\/(?:freshness|loaders|failure|keys-and-namespaces)\b/.test(address)) return 4;
  if (address.startsWith("/guide/")) return 2;
  return /^\/(?:decisions|protocol|reference\/(?:counter-examples|promises)|architecture)/.test(address) ? 0.2 : 1;
};

/** With five letters and fewer, another letter makes another word: stale, state. */
const fuzzy = (word: string): number | false => word.length > 5 && 0.2;

/** Forms of a word are one term: encrypt, encrypted, encryption. Words that each question has are none. */
const processTerm = (word: string): string | false => {
  const term = word.toLowerCase();
  if (
    /^(?:all|an?|and|are|be|by|can|do(?:es)?|for|have|how|i|in|is|it|its|my|of|one|or|that|the|there|this|to|what|when|which|why|with)$/.test(
      term,
    )
  )
    return false;
  return term.length > 5 ? term.replace(/(?:ions?|ing|e[ds]?|(?<!s)s)$/, "") : term;
};

/** What the index has of a word, and what is looked for. */
export const INDEX_OPTIONS = { processTerm };

/** Guides first, those of what hotset does before all, then other caches; how hotset is made, last. */
export const SEARCH_OPTIONS = {
  fuzzy,
  prefix: true,
  boost: { title: 4, text: 2, titles: 1 },
  boostDocument,
};
