import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { credentialsOf, launchRedis, type OwnRedis, type OwnRedisOptions } from "./redis.ts";

export interface AclRedisOptions extends Omit<OwnRedisOptions, "password"> {
  /**
   * Rights of the user `app`. The default lets it do on keys below `app:` all that is neither
   * administration nor dangerous, and track changes. Redis 7.0 does not start with
   * `client|setinfo` in a rule: it knows no such command.
   *
   * @default "~app:* &* +@all -@dangerous -@admin +client|tracking +client|setname +client|id +client|caching"
   */
  readonly appRules?: string;
  /** More lines of the ACL file: `user reader on >pass ~* +@read`. */
  readonly users?: readonly string[];
}

/** A Redis with users: `default` is off, `admin` may do all, `app` what a service needs. */
export interface AclRedis extends OwnRedis {
  /** As `app`, password `apppass`. `url`, like `command`, is the administrator's. */
  readonly appUrl: string;
  /** A URL for any user of the ACL file. */
  urlOf(username: string, password: string): string;
}

/** Starts it. Users can be changed under way by `command("ACL", "SETUSER", ...)`. */
export async function startAclRedis(options: AclRedisOptions = {}): Promise<AclRedis> {
  const { appRules = APP_RULES, users = [] } = options;
  const redis = await launchRedis(options, {
    name: "acl",
    administrator: { username: "admin", password: "adminpass" },
    config: async (directory, port) => {
      const file = join(directory, "users.acl");
      const lines = [
        "user default off",
        "user admin on >adminpass ~* &* +@all",
        `user app on >apppass ${appRules}`,
        ...users,
      ];
      await writeFile(file, `${lines.join("\n")}\n`);
      return [`port ${port}`, `aclfile ${file}`];
    },
    url: (credentials, port) => `redis://${credentials}127.0.0.1:${port}`,
  });
  const urlOf = (username: string, password: string): string =>
    `redis://${credentialsOf(username, password)}127.0.0.1:${redis.port}`;
  return Object.assign(redis, { appUrl: urlOf("app", "apppass"), urlOf });
}

const APP_RULES = "~app:* &* +@all -@dangerous -@admin +client|tracking +client|setname +client|id +client|caching";
