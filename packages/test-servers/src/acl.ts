import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { credentialsOf, launchRedis, type OwnRedis, type OwnRedisOptions } from "./redis.ts";

export interface AclRedisOptions extends Omit<OwnRedisOptions, "password"> {
  /**
   * Rights of the user `app`. By default it may run all commands on keys below `app:`, except administrative and
   * dangerous ones, and track changes. Redis 7.0 does not start with `client|setinfo` in a rule, because it lacks that
   * command.
   *
   * @default "~app:* &* +@all -@dangerous -@admin +client|tracking +client|setname +client|id +client|caching"
   */
  readonly appRules?: string;
  /** More lines of the ACL file: `user reader on >pass ~* +@read`. */
  readonly users?: readonly string[];
}

/** A Redis with users: `default` is off, `admin` has all rights, `app` those of a service. */
export interface AclRedis extends OwnRedis {
  /** URL for the user `app`, password `apppass`. `url` and `command` use the administrator. */
  readonly appUrl: string;
  /** A URL for any user of the ACL file. */
  urlOf(username: string, password: string): string;
}

/** Starts it. Users can be changed later by `command("ACL", "SETUSER", ...)`. */
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
