"""The view of an application that works through lists by itself, for integration tests.

    .tools/arq/bin/python end2end/oracle/lists_oracle.py --redis redis://… [--options {…}]

The protocol is that of oracle.mjs: one JSON object per line on stdin, one answer per line on stdout, matched by `id`. A queue `q` has
the lists `q:waiting`, `q:processing`, `q:completed` and `q:failed`. `options`: `take` and `lifo` as in a profile, `by`
(`brpoplpush`; otherwise `blmove`) and `heartbeat`, a key.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid

import redis

from lifetime import end_with_parent

arguments = argparse.ArgumentParser()
arguments.add_argument("--redis", required=True)
arguments.add_argument("--options", default="{}")
arguments = arguments.parse_args()

options = json.loads(arguments.options)
folder = tempfile.TemporaryDirectory()
client = redis.Redis.from_url(arguments.redis)
workers = {}
LISTS = {"waiting": "waiting", "active": "processing", "completed": "completed", "failed": "failed"}
TAKE = options.get("take", "right")


def items(queue, state):
    """The bodies in a list, the next or the oldest in front."""
    bodies = client.lrange(f"{queue}:{LISTS[state]}", 0, -1)
    first_is_last = TAKE == "right" if state == "waiting" else True
    return [json.loads(body) for body in (bodies[::-1] if first_is_last else bodies)]


def counts(queue):
    pipe = client.pipeline(transaction=True)
    for name in LISTS.values():
        pipe.llen(f"{queue}:{name}")
    return dict(zip(LISTS, pipe.execute()))


def add_all(queue, jobs):
    ids, pipe = [], client.pipeline(transaction=True)
    for job in jobs:
        ids.append(job.get("opts", {}).get("jobId") or uuid.uuid4().hex)
        body = {"id": ids[-1], "name": job["name"], "at": time.time_ns() // 1_000_000, "data": job.get("data") or {}}
        left = (TAKE == "left") == options.get("lifo", False)
        (pipe.lpush if left else pipe.rpush)(f"{queue}:waiting", json.dumps(body))
    pipe.execute()
    return {"jobIds": ids}


def add(queue, **job):
    return {"jobId": add_all(queue, [job])["jobIds"][0]}


def add_many(queue, count, **job):
    return add_all(queue, [job] * count)


def job(queue, jobId):
    """An item in the words of BullMQ."""
    for state in LISTS:
        for body in items(queue, state):
            if body["id"] == jobId:
                known = {"state": state, "name": body["name"], "data": body, "timestamp": body["at"], "attemptsMade": None}
                known |= {"opts": {"attempts": None}, "stacktrace": [], "progress": 0}
                return known | ({"failedReason": body["error"]} if "error" in body else {})
    raise RuntimeError("there is no such item")


def file_of(name):
    return os.path.join(folder.name, name)


def until(what, check, seconds=60):
    deadline = time.time() + seconds
    while not check():
        if time.time() > deadline:
            raise RuntimeError(f"it never came: {what}")
        time.sleep(0.02)


def start(workerId, queue, concurrency=1, **_):
    given = {"redis": arguments.redis, "queue": queue, "worker": workerId, "threads": concurrency, "folder": folder.name, "take": TAKE}
    here = os.path.dirname(os.path.abspath(__file__))
    command = [sys.executable, os.path.join(here, "lists_worker.py"), json.dumps(options | given)]
    workers[workerId] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr, preexec_fn=end_with_parent)
    until("a worker", lambda: os.path.exists(file_of(f"up-{workerId}")))


def stop(workerId, force=False, **_):
    workers[workerId].send_signal(signal.SIGKILL if force else signal.SIGTERM)
    if force:
        workers[workerId].wait()
    else:
        until("the end of a worker", lambda: os.path.exists(file_of(f"stops-{workerId}")))


def gone(workerId, **_):
    """Waits until a worker that was asked to stop has ended."""
    workers[workerId].wait(60)


def release(jobId=None, all=False, **_):
    open(file_of("all" if all else jobId), "w").close()


def wait(queue, state, count=None, **_):
    until(f"{count} {state}", lambda: counts(queue)[state] == count)


def ids(queue, state, asc):
    found = [body["id"] for body in items(queue, state)]
    return found if asc else found[::-1]


def drain(queue, **_):
    client.delete(f"{queue}:waiting")


COMMANDS = {
    "add": add,
    "addBulk": add_all,
    "addMany": add_many,
    "counts": counts,
    "ids": ids,
    "job": job,
    "startWorker": start,
    "stopWorker": stop,
    "gone": gone,
    "release": release,
    "waitUntil": wait,
    "drain": drain,
}


def answer(message):
    print(json.dumps(message, default=repr), flush=True)


answer({"ready": True, "version": redis.__version__})
try:
    for line in sys.stdin:
        request = json.loads(line)
        number, command = request.pop("id"), request.pop("cmd")
        try:
            answer({"id": number, "ok": COMMANDS[command](**request)})
        except Exception as error:
            answer({"id": number, "error": f"{type(error).__name__}: {error}"})
finally:
    for worker in workers.values():
        worker.kill()
