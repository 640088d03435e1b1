/**
 * Whether this run is the long form of the tests (`HOTSET_NIGHTLY=1`, which `npm run test:nightly` sets): bulk sizes,
 * more seeds of random histories, whole builds of examples. In the short form, `npm test`, every promise has its test
 * too.
 */
export const isNightly: boolean = process.env["HOTSET_NIGHTLY"] === "1";
