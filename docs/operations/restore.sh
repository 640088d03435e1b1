#!/bin/sh
# Makes the data folder of a new server of a snapshot, with the log that a server with "appendonly yes" reads: it does
# not read a snapshot alone, and would start empty. Replaces no data. The server that uses the folder must not run.
#
#     sh restore.sh /backups/redis-20260101T000000Z.rdb /data
set -eu

if [ $# -ne 2 ] || [ ! -f "$1" ] || [ ! -d "$2" ]; then
  echo "usage: sh restore.sh <snapshot> <empty folder>" >&2
  exit 2
fi
if [ -n "$(ls -A "$2")" ]; then
  echo "$2 must be empty: move what is there away first" >&2
  exit 2
fi
redis-check-rdb "$1" >&2

work=$(mktemp -d)
server=
# What is half done would look like data.
undo() {
  if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi
  rm -rf "$work" "$2/dump.rdb" "$2/appendonlydir"
}
trap 'undo "$@"' EXIT

cp "$1" "$2/dump.rdb"
# Reached by a socket of this script alone. Without a limit of memory: what was stored fits.
redis-server --port 0 --unixsocket "$work/socket" --unixsocketperm 700 --dir "$2" --save "" --appendonly no >&2 &
server=$!

ask() { redis-cli -s "$work/socket" "$@"; }
field() { ask INFO persistence | tr -d '\r' | sed -n "s/^$1://p"; }
alive() { kill -0 "$server" 2>/dev/null || { echo "the server ended while it loaded" >&2; exit 1; }; }

until [ "$(ask PING 2>/dev/null)" = PONG ]; do alive; sleep 0.2; done
ask CONFIG SET appendonly yes >&2
while [ "$(field aof_rewrite_in_progress)$(field aof_rewrite_scheduled)" != 00 ]; do alive; sleep 0.2; done
if [ "$(field aof_last_bgrewrite_status)" != ok ]; then
  echo "the log could not be written" >&2
  exit 1
fi
keys=$(ask DBSIZE)
ask SHUTDOWN NOSAVE >&2 || true
wait "$server" || true
server=
rm -rf "$work"
trap - EXIT
echo "$keys keys of database 0 in $2"
