"""The application of the tests' workers of Celery.

    CELERY_BROKER=redis://… [CELERY_OPTIONS={…}] python -m celery -A celery_tasks worker …

What a task does is written in its own data, as in processor.mjs: `ms`, `hold`, `fail`, `randomFail`, `returns`, `says`: its
progress, and `tally`: a list in the result backend to which each run adds what it is called, or else its id. A held task waits until there is a file with its id, or one called `all`, in the folder CELERY_HOLD. Every task is
acknowledged late but `early`, which is acknowledged as Celery does by default.
"""

import json
import os
import random
import time

from celery import Celery

NAMES = ["n", "work", "first", "seed", "held", "next", "urgent", "later", "good", "bad", "early"]

app = Celery("tests", broker=os.environ["CELERY_BROKER"], backend=os.environ["CELERY_BROKER"])
app.conf.update(
    accept_content=["json", "pickle", "msgpack", "yaml"],
    broker_connection_retry_on_startup=True,
    result_extended=True,
    worker_prefetch_multiplier=1,
)
app.conf.update(json.loads(os.environ.get("CELERY_OPTIONS", "{}")))


def held(task_id):
    folder = os.environ["CELERY_HOLD"]
    return not any(os.path.exists(os.path.join(folder, name)) for name in (task_id, "all"))


def work(self, data=None, *_, **__):
    data = data or {}
    if "tally" in data:
        self.app.backend.client.rpush(data["tally"], data.get("called", self.request.id))
    if "says" in data:
        self.update_state(state="PROGRESS", meta=data["says"])
    while data.get("hold") and held(self.request.id):
        time.sleep(0.02)
    time.sleep(data.get("ms", 0) / 1000)
    if "fail" in data:
        raise ValueError(data["fail"])
    if random.random() < data.get("randomFail", 0):
        raise ValueError("random failure")
    return data.get("returns")


for name in NAMES:
    app.task(work, name=name, bind=True, acks_late=name != "early")
