import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

const top = join(import.meta.dirname, "../../../..");
const folder = join(top, ".ci/code-blocks/calls");
const page = readFileSync(join(top, "docs/migrating/your-call-our-call.md"), "utf8");

/** The functions of each document, in its order. Commands of Redis have an underscore in place of a space. */
const FUNCTIONS: Readonly<Record<string, string>> = {
  "Hyperswitch redis_interface": `RedisConnectionPool::new RedisSettings::default add_prefix clone(prefix)
    RedisKey::tenant_aware_key tenant_unaware_key set_key set_key_with_expiry set_key_without_modifying_ttl
    set_key_if_not_exists_with_expiry set_multiple_keys_if_not_exist set_key_if_not_exists_and_get_value
    set_multiple_keys_if_not_exists_and_get_values get_key get_multiple_keys get_and_deserialize_key
    get_and_deserialize_multiple_keys serialize_and_set_key serialize_and_set_key_with_expiry
    serialize_and_set_key_if_not_exist serialize_and_set_key_without_modifying_ttl
    serialize_and_set_hash_field_if_not_exist serialize_and_set_multiple_hash_field_if_not_exist exists delete_key
    delete_multiple_keys set_expiry set_expire_at get_ttl set_hash_fields set_hash_field_if_not_exist
    increment_fields_in_hash get_hash_field get_hash_field_and_deserialize get_hash_fields hscan hscan_and_deserialize
    scan sadd append_elements_to_list get_list_elements get_list_length lpop_list_elements stream_append_entry
    stream_delete_entries stream_trim_entries stream_acknowledge_entries stream_get_length stream_read_entries
    stream_read_with_options consumer_group_create consumer_group_destroy consumer_group_delete_consumer
    consumer_group_set_last_id consumer_group_set_message_owner evaluate_redis_script publish subscribe
    manage_subscriptions unsubscribe message_rx get_transaction on_error on_unresponsive`,
  "hitbox-redis": `RedisBackend::builder SingleConfig::new ClusterConfig::new ConnectionMode::single
    ConnectionMode::cluster exponent_base read_from_replicas connection connection_timeout response_timeout retries
    username password value_format key_format label compressor build read write remove`,
  "RouteMQ RedisManager": `redis_manager RedisManager() initialize disconnect is_enabled get_client get set delete exists
    expire ttl incr hset hget set_json get_json get_user_with_cache robust_cache_get robust_cache_set create_session
    get_session delete_session check_rate_limit DistributedLock acquire release PubSubManager.publish
    PubSubManager.subscribe`,
  RedisUtils: `create_redis_pool get_redis_connection pool.get() SET GET SETEX cache_market_data HSET HGETALL
    manage_portfolio PUBLISH publish_trading_events`,
  "Magnetiq2 Redis guide": `RedisManager.connect redis.from_url RedisManager.disconnect CacheService.get CacheService.set
    CacheService.get_json create_session get_session invalidate_session publish_booking_update subscribe_to_booking
    setex hset hgetall lpush brpop sadd scard sismember zadd zrevrange ttl expire gzip.compress acquire_lock
    release_lock is_rate_limited pipeline MONITOR INFO_memory INFO_stats SLOWLOG_GET MEMORY_USAGE get_redis_stats`,
};

/** Values that the calls of the page are given. */
const GIVEN = `
import type { Compressor, Format, StandardSchema } from "hotset";
import type { EntryId } from "@hotset/redis-toolkit/streams";
declare const key: string, value: string, field: string, id: string, name: string, member: string;
declare const lua: string, url: string, userId: string, keys: string[], members: string[], urls: string[];
declare const entries: Map<string, string>;
declare const fields: Record<string, string>;
declare const data: Record<string, unknown>;
declare const schema: StandardSchema<{ name: string }>;
declare const at: Date;
declare const entryId: EntryId;
declare const format: Format;
declare const compressor: Compressor;
declare const handler: () => void;
declare const load: () => Promise<string>;
declare const task: () => Promise<void>;
`;

interface Row {
  readonly system: string;
  readonly line: number;
  readonly theirs: readonly string[];
  readonly ours: readonly string[];
  readonly difference: string;
}

const codeIn = (cell: string): readonly string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code!);

function readRows(): readonly Row[] {
  let system = "";
  return page.split("\n").flatMap((text, index) => {
    if (text.startsWith("## ")) system = text.slice(3);
    const cells = text.split("|").map((cell) => cell.trim());
    if (system === "" || cells.length !== 5 || cells[1] === "your call" || cells[1]!.startsWith("---")) return [];
    const [, theirs, ours, difference] = cells as [string, string, string, string];
    return [{ system, line: index + 1, theirs: codeIn(theirs), ours: codeIn(ours), difference }];
  });
}

describe("your call, our call", () => {
  const rows = readRows();

  it.each(Object.entries(FUNCTIONS))("C299: the page has every function of %s", (system, functions) => {
    const named = new Set(
      rows
        .filter((row) => row.system === system)
        .flatMap(({ theirs }) => theirs)
        .map((name) => name.replaceAll(" ", "_")),
    );
    expect(functions.split(/\s+/).filter((each) => !named.has(each))).toEqual([]);
  });

  it("C299: every row has a call of ours, and at most two short sentences about the difference", () => {
    expect(rows.length).toBeGreaterThan(110);
    expect(rows.filter(({ theirs, ours }) => theirs.length === 0 || ours.length === 0)).toEqual([]);
    expect(rows.filter(({ difference }) => difference.replaceAll(/\(.*?\)/g, "").length > 130)).toEqual([]);
  });

  it("C299: every call of ours compiles with the public types", { timeout: 120_000 }, async () => {
    const setup = /```ts\n(?<code>.*?)```/s.exec(page)!.groups!["code"]!;
    const others = /^(?:redis\.|createRedis\(|defaultRedis\(|uniques\(|queue\()/;
    const calls = rows.flatMap(({ line, ours, difference }) =>
      [...ours, ...codeIn(difference).filter((code) => others.test(code))].map((call) => `() => ${call}, // ${line}`),
    );
    const used = "void [group, stream, channel, lock, auth, limit, online, board, lenient, consumer];";
    mkdirSync(folder, { recursive: true });
    writeFileSync(
      join(folder, "calls.ts"),
      `${GIVEN}${setup}export const calls = [\n${calls.join("\n")}\n];\n${used}\n`,
    );
    const extended = join(top, "tsconfig.json");
    const config = { extends: extended, include: ["calls.ts"], exclude: [] };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
    const compiler = join(top, "node_modules/.bin/tsc");
    const output = await promisify(execFile)(compiler, ["-p", folder]).then(
      ({ stdout }) => stdout,
      ({ stdout }: { stdout: string }) => stdout,
    );
    expect(output).toBe("");
  });
});
