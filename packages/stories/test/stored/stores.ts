import { postgres } from "@hotset/postgres";
import { redis, sqlite } from "hotset";
import type { Open } from "./content.ts";

export const LAYOUTS = ["full", "string"] as const;

/** Names of fields and numbers are text, all else is base64. */
export type Command = readonly [name: string, key: string, ...rest: string[]];

export const redisAt =
  (url: string, layout: (typeof LAYOUTS)[number]): Open =>
  ({ format, compressor, alsoReads }) =>
    redis(url)
      .layout(layout)
      .keyPrefix(layout)
      .coherence("none")
      .valueFormat(format)
      .compressor(compressor)
      .alsoReads(...alsoReads)
      .responseTimeout("15s")
      .build();

export const sqliteIn =
  (path: string): Open =>
  (settings) =>
    sqlite(path, settings);

export const postgresIn =
  (url: string, schema: string): Open =>
  (settings) =>
    postgres({ url, schema, ...settings });

export const schemaOf = (version: string): string => `stored_${version.replaceAll(".", "_")}`;
