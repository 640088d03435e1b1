// For packages of hotset, which all have one version.
export { countsOf, invalidationsPage } from "./data/invalidations.ts";
export { bytesText, lifeText, numberText } from "./figures.ts";
export type { Finding } from "./data/pages.ts";
export { EMPTY, type Picture, type ProcessPicture } from "./rules/picture.ts";
export { findings, RULES, rulesList } from "./rules/rules.ts";
