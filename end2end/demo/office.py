"""The shop's office: Celery with beat, on the same Redis as the shop.

    DEMO_REDIS=redis://… python -m celery -A office worker -B -E --pool threads --concurrency 2 -Q forms,letters -s FILE

Beat has the inbox looked at every few seconds; each form that is there becomes a task, and most tasks lead to another one.
"""

import os
import random
import time
from datetime import datetime, timedelta, timezone

from celery import Celery
from celery.schedules import crontab

app = Celery("office", broker=os.environ["DEMO_REDIS"], backend=os.environ["DEMO_REDIS"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    result_expires=3600,
    result_extended=True,
    task_default_queue="forms",
    task_routes={"letters.*": {"queue": "letters"}},
    task_send_sent_event=True,
    worker_prefetch_multiplier=1,
    beat_schedule={
        "look-at-inbox": {"task": "forms.look_at_inbox", "schedule": 4.0},
        "daily-summary": {"task": "letters.summary", "schedule": crontab(hour=6, minute=0)},
    },
)

SUBJECTS = ["return", "complaint", "address change", "tax exemption", "bulk order"]


class Incomplete(ValueError):
    """A form that lacks what its subject needs."""


def soon(seconds):
    return datetime.now(timezone.utc) + timedelta(seconds=seconds)


@app.task(name="forms.look_at_inbox", ignore_result=True)
def look_at_inbox():
    for _ in range(random.randint(0, 4)):
        form = {"number": f"F-{random.randint(10_000, 99_999)}", "customer": random.randint(1000, 9999)}
        process.apply_async([form | {"subject": random.choice(SUBJECTS)}], priority=random.choice([0, 0, 0, 3]))


@app.task(name="forms.process", bind=True, max_retries=2)
def process(self, form):
    time.sleep(random.uniform(0.1, 0.8))
    if random.random() < 0.03:
        raise self.retry(countdown=random.randint(20, 60), exc=ConnectionError("CRM answered 503 Service Unavailable"))
    if random.random() < 0.03:
        raise Incomplete(f"form {form['number']} has no VAT number")
    if random.random() < 0.5:
        answer.delay(form["number"], form["customer"])
    if random.random() < 0.1:
        remind.apply_async([form["number"]], eta=soon(random.randint(60, 240)))
    return {"filed": True, "folder": form["subject"]}


@app.task(name="forms.remind")
def remind(number):
    return {"form": number, "reminded": True}


# What prints may not be lost with its worker: acknowledged when it is done, so Redis tells what is printed now.
@app.task(name="letters.answer", bind=True, acks_late=True)
def answer(self, number, customer):
    pages = random.randint(1, 4)
    for page in range(pages):
        self.update_state(state="PROGRESS", meta={"page": page + 1, "of": pages})
        time.sleep(random.uniform(0.2, 0.5))
    if random.random() < 0.02:
        raise OSError("printer tray 2 is empty")
    return {"form": number, "customer": customer, "pages": pages}


@app.task(name="letters.summary")
def summary():
    return {"pages": 1}
