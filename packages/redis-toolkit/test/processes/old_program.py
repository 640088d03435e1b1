"""The services of RouteMQ and Magnetiq2, as their guides have them, over redis-py. One command a line, one answer a line."""

import json
import sys
import time
import uuid

import redis

client = redis.Redis.from_url(sys.argv[1], decode_responses=True)

RELEASE = """
if redis.call("get", KEYS[1]) == ARGV[1] then
    return redis.call("del", KEYS[1])
else
    return 0
end
"""


def work(times):
    """DistributedLock around a change that is no single step."""
    for _ in range(times):
        identifier = str(uuid.uuid4())
        while not client.set("lock:counter", identifier, nx=True, ex=30):
            time.sleep(0.001)
        value = int(client.get("counter") or 0)
        time.sleep(0.001)
        client.set("counter", value + 1)
        client.eval(RELEASE, 1, "lock:counter", identifier)
    return times


def is_rate_limited(user_id, limit, window):
    key = f"rate_limit:{user_id}"
    current = client.get(key)
    if current is None:
        client.setex(key, window, 1)
        return False
    if int(current) >= limit:
        return True
    client.incr(key)
    return False


def create_session(user_id):
    session_id = str(uuid.uuid4())
    client.setex(f"session:{session_id}", 86400, json.dumps({"user_id": user_id, "created_at": "2026-11-27"}))
    return session_id


def get_session(session_id):
    data = client.get(f"session:{session_id}")
    return json.loads(data) if data else None


def add_score(user_id, score):
    return client.zincrby("user_scores", score, user_id)


def top_users():
    return client.zrevrange("user_scores", 0, 9, withscores=True)


for line in sys.stdin:
    name, *args = json.loads(line)
    print(json.dumps(globals()[name](*args)), flush=True)
