export { hotsetDriver, type HotsetDriver, type HotsetDriverCallOptions, type HotsetDriverOptions } from "./driver.ts";
