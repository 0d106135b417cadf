"""Celery's own word, for integration tests.

    .tools/celery/bin/python end2end/oracle/celery_oracle.py --redis redis://… [--options {…}]

The protocol is that of oracle.mjs: one JSON object per line on stdin, one answer per line on stdout, matched by `id`. What is
counted and listed is what kombu finds in its queues, and what the workers answer to remote control. `options` are
settings of the application.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from datetime import datetime

arguments = argparse.ArgumentParser()
arguments.add_argument("--redis", required=True)
arguments.add_argument("--options", default="{}")
arguments = arguments.parse_args()

folder = tempfile.TemporaryDirectory()
os.environ |= {
    "CELERY_BROKER": arguments.redis,
    "CELERY_OPTIONS": arguments.options,
    "CELERY_HOLD": folder.name,
    "PYTHONDONTWRITEBYTECODE": "1",
    # In a container tests are run by its only user.
    "C_FORCE_ROOT": "1",
}
sys.dont_write_bytecode = True

import celery
from kombu.transport.virtual import Message

from celery_tasks import app
from lifetime import end_with_parent

# An answer takes milliseconds; who has not answered by then is not there.
PATIENCE = 0.7
workers = {}
sent = {}


def messages(queue):
    """The messages of a queue, those that run first in front."""
    found = []
    with app.connection_for_read() as connection:
        redis = connection.default_channel
        for step in redis.priority_steps:
            # kombu's client puts the prefix before the keys of its own commands only.
            key = redis.global_keyprefix + redis._q_for_pri(queue, step)
            found += reversed(redis.client.lrange(key, 0, -1))
        return [Message(json.loads(message), channel=redis) for message in found]


def taken():
    """Ids of the tasks that workers hold, by the moment in which they took them. When one begins depends on its process."""
    with app.connection_for_read() as connection:
        redis = connection.default_channel
        # A command of those that kombu's client puts the prefix before.
        held = redis.client.zrevrangebyscore(redis.unacked_index_key, "+inf", "-inf", withscores=True)
        held = sorted((int(since * 1000), tag) for tag, since in held)
        found = [redis.client.hget(redis.unacked_key, tag) for _, tag in held]
        return [json.loads(message)[0]["headers"]["id"] for message in found if message]


def inspected(queue):
    """What workers hold of a queue: (active or taken in advance, waiting for its ETA)."""
    running = [name for name, worker in workers.values() if worker.poll() is None]
    if not running:
        return [], []
    # With the number of those who will answer, the answers are not waited for any longer.
    inspect = app.control.inspect(running, timeout=PATIENCE, limit=len(running))
    at = lambda request: request["delivery_info"]["routing_key"] == queue
    active = [r for part in (inspect.active(), inspect.reserved()) for all in (part or {}).values() for r in all]
    scheduled = [s for all in (inspect.scheduled() or {}).values() for s in all]
    late = [s["request"] | {"eta": s["eta"]} for s in scheduled]
    active = {r["id"]: r for r in active if at(r)}
    return (
        list(active.values()),
        sorted((r for r in late if at(r)), key=lambda r: r["eta"]),
    )


def ended(queue, status):
    return sum(1 for task, (of, _) in sent.items() if of == queue and app.AsyncResult(task).state == status)


def counts(queue):
    with app.connection_for_read() as connection:
        waiting = connection.default_channel._size(queue)
    active, delayed = inspected(queue)
    # A queue's finished tasks are not known to the library either.
    return {"waiting": waiting, "active": len(active), "delayed": len(delayed), "completed": None, "failed": None}


def add(queue, name="n", data=None, opts=None, **more):
    opts = opts or {}
    given = {"task_id": opts.get("jobId") or str(uuid.uuid4())}
    if "delay" in opts:
        given["countdown"] = opts["delay"] / 1000
    if "priority" in opts:
        given["priority"] = opts["priority"]
    given |= more.get("options", {})
    arguments = more.get("args", [data or {}])
    app.send_task(name, args=arguments, kwargs=more.get("kwargs", {}), queue=queue, **given)
    sent[given["task_id"]] = (queue, name)
    return {"jobId": given["task_id"]}


def moment(text):
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000) // 1000


def job(queue, jobId):
    """A task in the words of BullMQ."""
    known = {"timestamp": None, "attemptsMade": 0, "opts": {"attempts": None}, "stacktrace": [], "progress": 0}
    for message in messages(queue):
        if message.headers["id"] == jobId:
            args, kwargs, _ = message.decode()
            data = {"args": list(args), "kwargs": kwargs}
            return known | {"state": "waiting", "name": message.headers["task"], "data": data, "priority": message.properties["priority"]}
    for state, requests in zip(("active", "delayed"), inspected(queue)):
        for request in requests:
            if request["id"] == jobId:
                data = {"args": request["args"], "kwargs": request["kwargs"]}
                due = moment(request["eta"]) if state == "delayed" else None
                progress = app.AsyncResult(jobId).info if state == "active" else None
                priority = request["delivery_info"]["priority"] or 0
                return known | {"state": state, "name": request["name"], "data": data, "due": due, "priority": priority, "progress": progress or 0}
    result = app.AsyncResult(jobId)
    return known | {"state": result.state, "returnvalue": result.result if result.successful() else None, "stacktrace": [result.traceback] if result.traceback else []}


def start(workerId, queue, concurrency=1, options=None, **_):
    name = f"{workerId}@{queue}"
    command = [sys.executable, "-m", "celery", "-A", "celery_tasks", "worker", "-n", name, "-Q", queue]
    command += ["-c", str(concurrency), "-P", "threads", "--loglevel", "ERROR", *(options or [])]
    here = os.path.dirname(os.path.abspath(__file__))
    worker = subprocess.Popen(command, cwd=here, stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr, preexec_fn=end_with_parent)
    workers[workerId] = (name, worker)
    deadline = time.time() + 60
    while not app.control.inspect([name], timeout=PATIENCE, limit=1).ping():
        if time.time() > deadline or worker.poll() is not None:
            raise RuntimeError(f"worker {workerId} does not answer")


def stop(workerId, force=False, **_):
    name, worker = workers[workerId]
    worker.kill() if force else worker.terminate()
    if force:
        worker.wait()


def gone(workerId, **_):
    """Waits until a worker that was asked to stop has ended."""
    workers[workerId][1].wait(60)


def release(jobId=None, all=False, **_):
    open(os.path.join(folder.name, "all" if all else jobId), "w").close()


def wait(queue, state, count=None, jobId=None, timeoutMs=60_000, **_):
    deadline = time.time() + timeoutMs / 1000
    status = {"completed": "SUCCESS", "failed": "FAILURE"}.get(state)
    while True:
        seen = ended(queue, status) if status else counts(queue)[state]
        if seen == count:
            return
        if time.time() > deadline:
            raise RuntimeError(f"{state} is {seen}, never {count}")
        time.sleep(0.05)


def ids(queue, state, asc):
    active, delayed = inspected(queue)
    running = {request["id"] for request in active}
    found = {
        "waiting": lambda: [message.headers["id"] for message in messages(queue)],
        "active": lambda: [task for task in taken() if task in running],
        "delayed": lambda: [request["id"] for request in delayed],
    }[state]()
    return found if asc else found[::-1]


def drain(queue, **_):
    with app.connection_for_write() as connection:
        connection.default_channel.queue_purge(queue)


COMMANDS = {
    "add": lambda **given: add(**given),
    "addBulk": lambda queue, jobs: {"jobIds": [add(queue, **given)["jobId"] for given in jobs]},
    "addMany": lambda queue, count, **given: {"jobIds": [add(queue, **given)["jobId"] for _ in range(count)]},
    "counts": lambda queue: counts(queue),
    "ids": lambda **given: ids(**given),
    "job": lambda **given: job(**given),
    "startWorker": lambda **given: start(**given),
    "stopWorker": lambda **given: stop(**given),
    "gone": lambda **given: gone(**given),
    "release": lambda **given: release(**given),
    "waitUntil": lambda **given: wait(**given),
    "drain": lambda **given: drain(**given),
}


def answer(message):
    print(json.dumps(message, default=repr), flush=True)


answer({"ready": True, "version": celery.__version__})
try:
    for line in sys.stdin:
        request = json.loads(line)
        number, command = request.pop("id"), request.pop("cmd")
        try:
            answer({"id": number, "ok": COMMANDS[command](**request)})
        except Exception as error:
            answer({"id": number, "error": f"{type(error).__name__}: {error}"})
finally:
    for _, worker in workers.values():
        worker.kill()
