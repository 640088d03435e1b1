#!/bin/sh
# Writes a snapshot of a server to BACKUP_DIR, checks it, and removes all but the newest BACKUP_KEEP. Ends with 0 only
# if the file is complete. Needs redis-cli and redis-check-rdb, and no access to the server's disk.
#
#     REDIS_HOST=redis-durable REDIS_USERNAME=backup REDIS_PASSWORD_FILE=secrets/backup sh backup.sh
set -eu

: "${REDIS_HOST:=localhost}" "${REDIS_PORT:=6379}" "${BACKUP_DIR:=/backups}" "${BACKUP_KEEP:=7}"
case $BACKUP_KEEP in '' | 0 | *[!0-9]*)
  echo "BACKUP_KEEP must be a whole number above 0, got \"$BACKUP_KEEP\"" >&2
  exit 2
  ;;
esac
if [ -n "${REDIS_PASSWORD_FILE:-}" ]; then
  # Not an argument, which other users of the machine see.
  REDISCLI_AUTH=$(cat "$REDIS_PASSWORD_FILE")
  export REDISCLI_AUTH
fi

name=redis-$(date -u +%Y%m%dT%H%M%SZ).rdb
part=$BACKUP_DIR/.$name.part
trap 'rm -f "$part"' EXIT

redis-cli -h "$REDIS_HOST" -p "$REDIS_PORT" ${REDIS_USERNAME:+--user "$REDIS_USERNAME"} \
  ${REDIS_TLS_CA_PATH:+--tls --cacert "$REDIS_TLS_CA_PATH"} --rdb "$part" >&2
redis-check-rdb "$part" >&2
mv "$part" "$BACKUP_DIR/$name"
echo "$BACKUP_DIR/$name"

# Only now: a failed backup removes none of the older ones.
find "$BACKUP_DIR" -name 'redis-*.rdb' | sort -r | tail -n "+$((BACKUP_KEEP + 1))" | while read -r old; do
  rm -f "$old"
done
