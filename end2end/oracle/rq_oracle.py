"""RQ's own word, for tests of what Drover makes of a library that it does not support.

    .tools/python/bin/python end2end/oracle/rq_oracle.py --redis redis://…

The protocol is that of oracle.mjs: one JSON object per line on stdin, one answer per line on stdout, matched by `id`.
"""

import argparse
import json
import sys

import redis
import rq

arguments = argparse.ArgumentParser()
arguments.add_argument("--redis", required=True)
arguments.add_argument("--options")
client = redis.Redis.from_url(arguments.parse_args().redis)


def at(queue):
    return rq.Queue(queue, connection=client)


def add(queue, count):
    for number in range(count):
        at(queue).enqueue(abs, number)


def work(queue):
    rq.SimpleWorker([at(queue)], connection=client).work(burst=True, logging_level="WARNING")


def counts(queue):
    return {"waiting": len(at(queue)), "completed": at(queue).finished_job_registry.count}


def delete(queue):
    at(queue).delete(delete_jobs=True)


COMMANDS = {"add": add, "work": work, "counts": counts, "delete": delete}


def answer(message):
    print(json.dumps(message), flush=True)


answer({"ready": True, "version": rq.VERSION})
for line in sys.stdin:
    request = json.loads(line)
    number, command = request.pop("id"), request.pop("cmd")
    try:
        answer({"id": number, "ok": COMMANDS[command](**request)})
    except Exception as error:
        answer({"id": number, "error": f"{type(error).__name__}: {error}"})
