"""The tests' workers of arq.

    ARQ_REDIS=redis://… ARQ_QUEUE=… [ARQ_OPTIONS={…}] python -m arq arq_tasks.Settings

What a job does is written in its own data, as in processor.mjs: `ms`, `hold`, `fail`, `randomFail`, `returns`, and `again`:
seconds after which it asks to be tried again, each time but the last; `tally`: a list into which each run puts the job's id; `odd`:
an error that can be pickled and not loaded again. A held job waits until there is a file with its id, or one
called `all`, in the folder ARQ_HOLD. A worker that has begun makes a file there, called `up-` and its name.
"""

import asyncio
import json
import os
import pickle
import random
from dataclasses import dataclass
from datetime import timedelta

import msgpack
from arq import Retry, cron, func
from arq.connections import RedisSettings

NAMES = ["n", "work", "first", "seed", "held", "next", "urgent", "later", "good", "bad", "job"]
FOLDER = os.environ["ARQ_HOLD"]
OPTIONS = json.loads(os.environ.get("ARQ_OPTIONS", "{}"))
SERIALIZERS = {
    "pickle": (pickle.dumps, pickle.loads),
    "msgpack": (msgpack.packb, msgpack.unpackb),
    "json": (lambda data: json.dumps(data).encode(), json.loads),
    # One that Drover does not know.
    "own": (lambda data: json.dumps(data).encode()[::-1], lambda data: json.loads(data[::-1])),
}
DUMPS, LOADS = SERIALIZERS[OPTIONS.pop("serializer", "pickle")]


@dataclass
class Point:
    """A class of the application, which arguments and results may be of."""

    x: int
    y: int


class Full(Exception):
    """An error of the application."""


class Odd(Exception):
    """An error of which pickle makes something that it cannot load."""

    def __init__(self, code, why):
        super().__init__(f"{code}: {why}")


def held(job):
    return not any(os.path.exists(os.path.join(FOLDER, name)) for name in (job, "all"))


async def work(ctx, data=None, *_, **__):
    data = data if isinstance(data, dict) else {}
    if "tally" in data:
        await ctx["redis"].rpush(data["tally"], ctx["job_id"])
    while data.get("hold") and held(ctx["job_id"]):
        await asyncio.sleep(0.02)
    await asyncio.sleep(data.get("ms", 0) / 1000)
    if "again" in data and ctx["job_try"] < 3:
        raise Retry(defer=timedelta(seconds=data["again"]))
    if "full" in data:
        raise Full(data["full"], 7)
    if "odd" in data:
        raise Odd(7, data["odd"])
    if "fail" in data:
        raise ValueError(data["fail"])
    if random.random() < data.get("randomFail", 0):
        raise ValueError("random failure")
    return Point(1, 2) if data.get("point") else data.get("returns")


async def tick(ctx):
    return None


async def up(ctx):
    open(os.path.join(FOLDER, f"up-{os.environ['ARQ_WORKER']}"), "w").close()


class Settings:
    functions = [func(work, name=name) for name in NAMES]
    cron_jobs = [cron(tick, second=set(range(60)))] if OPTIONS.pop("cron", False) else []
    redis_settings = RedisSettings.from_dsn(os.environ["ARQ_REDIS"])
    queue_name = os.environ.get("ARQ_QUEUE", "arq:queue")
    job_serializer, job_deserializer = DUMPS, LOADS
    on_startup = up
    poll_delay = 0.05


for name, value in OPTIONS.items():
    setattr(Settings, name, value)
