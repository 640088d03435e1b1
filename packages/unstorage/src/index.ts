export { hotsetDriver, type HotsetDriver, type HotsetDriverOptions } from "./driver.ts";
