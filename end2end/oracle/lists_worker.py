"""A worker of lists, as applications write them: an item moves to `processing` while it is worked on, and leaves it by its own bytes.

    python lists_worker.py {"redis": …, "queue": …, "worker": …, "threads": …, "folder": …, "take": …}

What an item does is written in its data, as in processor.mjs: `ms`, `hold`, `fail`, `randomFail`; with `tally` its id goes to the end of
the list of that name. A held one waits until there is a file with its id, or one called `all`, in the folder. An item that is not in
`processing` any more when it ends was put back, and is not finished a second time.
"""

import json
import os
import random
import signal
import sys
import threading
import time

import redis

given = json.loads(sys.argv[1])
queue = given["queue"]
client = redis.Redis.from_url(given["redis"])
stopping = threading.Event()

finish = client.register_script(
    "if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 1 then redis.call('LPUSH', KEYS[2], ARGV[2]) return 1 end return 0"
)


def file_of(name):
    return os.path.join(given["folder"], name)


def take():
    waiting, processing = f"{queue}:waiting", f"{queue}:processing"
    if given.get("by") == "brpoplpush":
        return client.brpoplpush(waiting, processing, timeout=1)
    return client.blmove(waiting, processing, 0.2, given["take"].upper(), "LEFT")


def run(item):
    data = item["data"]
    while data.get("hold") and not any(os.path.exists(file_of(name)) for name in (item["id"], "all")):
        time.sleep(0.02)
    time.sleep(data.get("ms", 0) / 1000)
    if "fail" in data and "error" not in item:
        raise ValueError(data["fail"])
    if random.random() < data.get("randomFail", 0):
        raise ValueError("random failure")
    if "tally" in data:
        client.rpush(data["tally"], item["id"])


def work():
    while not stopping.is_set():
        body = take()
        if body is None:
            continue
        item, to = json.loads(body), "completed"
        try:
            run(item)
            done = body
        except ValueError as error:
            to, done = "failed", json.dumps(item | {"error": str(error)})
        finish(keys=[f"{queue}:processing", f"{queue}:{to}"], args=[body, done])


def beat():
    while given.get("heartbeat"):
        client.set(given["heartbeat"], given["worker"], px=1000)
        time.sleep(0.2)


def stop(*_):
    stopping.set()
    open(file_of(f"stops-{given['worker']}"), "w").close()


signal.signal(signal.SIGTERM, stop)
threads = [threading.Thread(target=work) for _ in range(given["threads"])]
threading.Thread(target=beat, daemon=True).start()
for thread in threads:
    thread.start()
open(file_of(f"up-{given['worker']}"), "w").close()
for thread in threads:
    thread.join()
