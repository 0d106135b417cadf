"""Parcels that come back: a list in Redis that the shop works through by itself, without a library.

    DEMO_REDIS=redis://… python returns.py

An item moves to `processing` while it is worked on, and leaves it by its own bytes; a key that expires says that a worker lives.
`scripts/run` describes the lists to Drover.
"""

import itertools
import json
import os
import random
import signal
import threading
import time

import redis

WORKERS = 2
KEPT = 300
TROUBLES = ["parcel is empty", "label cannot be read", "order is not known"]

client = redis.Redis.from_url(os.environ["DEMO_REDIS"])
stopping = threading.Event()
finish = client.register_script(
    "if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end "
    "redis.call('LPUSH', KEYS[2], ARGV[2]) redis.call('LTRIM', KEYS[2], 0, ARGV[3]) return 1"
)


def scan():
    """The scanner at the gate."""
    for number in itertools.count(int(time.time()) % 1_000_000):
        parcel = {"id": f"P-{number:06}", "kind": random.choice(["inspect", "inspect", "refund", "restock"])}
        item = parcel | {"order": random.randint(1, 9999), "grams": random.randint(80, 9000), "added": time.time()}
        client.lpush("returns:waiting", json.dumps(item))
        if stopping.wait(random.uniform(0.3, 1.7)):
            return


def work():
    while not stopping.is_set():
        body = client.blmove("returns:waiting", "returns:processing", 1, "RIGHT", "LEFT")
        if body is None:
            continue
        stopping.wait(random.uniform(0.3, 2))
        item, to = json.loads(body), "completed"
        if random.random() < 0.02:
            item, to = item | {"error": random.choice(TROUBLES)}, "failed"
        finish(keys=["returns:processing", f"returns:{to}"], args=[body, json.dumps(item), KEPT - 1])


def live():
    while not stopping.is_set():
        client.set("returns:alive", os.getpid(), ex=10)
        stopping.wait(2)


def forever(task):
    """Until the shop closes, also after an outage of Redis."""
    while not stopping.is_set():
        try:
            task()
        except redis.RedisError as error:
            print(f"returns: {error}", flush=True)
            stopping.wait(2)


for name in (signal.SIGTERM, signal.SIGINT):
    signal.signal(name, lambda *_: stopping.set())
threads = [threading.Thread(target=forever, args=[task]) for task in [scan, live] + [work] * WORKERS]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
