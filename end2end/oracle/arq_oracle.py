"""arq's own word, for integration tests.

    .tools/arq/bin/python end2end/oracle/arq_oracle.py --redis redis://… [--options {…}]

The protocol is that of oracle.mjs: one JSON object per line on stdin, one answer per line on stdout, matched by `id`. What is
counted and listed is what arq says of each job in a queue (`Job.status`, `Job.info`). `options` are settings of the workers, and
`serializer`.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from importlib.metadata import version

arguments = argparse.ArgumentParser()
arguments.add_argument("--redis", required=True)
arguments.add_argument("--options", default="{}")
arguments = arguments.parse_args()

folder = tempfile.TemporaryDirectory()
os.environ |= {
    "ARQ_REDIS": arguments.redis,
    "ARQ_OPTIONS": arguments.options,
    "ARQ_HOLD": folder.name,
    "PYTHONDONTWRITEBYTECODE": "1",
}
sys.dont_write_bytecode = True

from arq import create_pool
from arq.constants import retry_key_prefix
from arq.jobs import Job, JobStatus

from arq_tasks import DUMPS, LOADS, Point, Settings
from lifetime import end_with_parent

STATES = {JobStatus.queued: "waiting", JobStatus.in_progress: "active", JobStatus.deferred: "delayed"}
workers = {}
sent = {}


def of(queue, job):
    return Job(job, pool, _queue_name=queue, _deserializer=LOADS)


async def states(queue):
    """The state of each job in a queue, those that are due first in front."""
    jobs = [job.decode() for job in await pool.zrange(queue, 0, -1)]
    return [(job, STATES[status]) for job in jobs if (status := await of(queue, job).status()) in STATES]


async def ended(queue, success):
    results = [await of(queue, job).result_info() for job, (to, _) in sent.items() if to == queue]
    return sum(1 for result in results if result and result.success == success)


async def counts(queue):
    found = [state for _, state in await states(queue)]
    # A queue's finished jobs are not known to the library either.
    return {state: found.count(state) for state in STATES.values()} | {"completed": None, "failed": None}


async def add(queue, name="n", data=None, opts=None, **more):
    opts = opts or {}
    given = {"_queue_name": queue, "_job_id": opts.get("jobId")}
    if "delay" in opts:
        given["_defer_by"] = timedelta(milliseconds=opts["delay"])
    if "expires" in opts:
        given["_expires"] = timedelta(milliseconds=opts["expires"])
    # What JSON cannot say.
    args = more.get("args", [data or {}]) + ([Point(1, 2)] if more.get("point") else [])
    job = await pool.enqueue_job(name, *args, **given, **more.get("kwargs", {}))
    if job is None:
        raise RuntimeError("there is such a job, or a result of one")
    sent[job.job_id] = (queue, name)
    return {"jobId": job.job_id}


async def job(queue, jobId):
    """A job in the words of BullMQ."""
    status, info = await of(queue, jobId).status(), await of(queue, jobId).info()
    begun = int(await pool.get(retry_key_prefix + jobId) or 0)
    state = STATES.get(status, "completed" if getattr(info, "success", False) else "failed")
    known = {
        "state": state,
        "name": info.function,
        "data": {"args": list(info.args), "kwargs": info.kwargs},
        "timestamp": round(info.enqueue_time.timestamp() * 1000),
        "attemptsMade": begun - (state == "active"),
        "opts": {"attempts": None},
        "stacktrace": [],
        "progress": 0,
    }
    if state == "delayed":
        known["due"] = info.score
    if status == JobStatus.complete:
        known |= {"attemptsMade": info.job_try, "returnvalue": info.result if info.success else None}
        known |= {"processedOn": round(info.start_time.timestamp() * 1000), "finishedOn": round(info.finish_time.timestamp() * 1000)}
    return known


async def status(queue, jobId):
    """What `Job.status` says."""
    return await of(queue, jobId).status()


async def start(workerId, queue, concurrency=10, **_):
    environment = os.environ | {"ARQ_QUEUE": queue, "ARQ_WORKER": workerId}
    environment["ARQ_OPTIONS"] = json.dumps({"max_jobs": concurrency} | json.loads(arguments.options))
    here = os.path.dirname(os.path.abspath(__file__))
    worker = subprocess.Popen([sys.executable, "-m", "arq", "arq_tasks.Settings"], cwd=here, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr, preexec_fn=end_with_parent)
    workers[workerId] = worker
    deadline = time.time() + 60
    while not os.path.exists(os.path.join(folder.name, f"up-{workerId}")):
        if time.time() > deadline or worker.poll() is not None:
            raise RuntimeError(f"worker {workerId} does not begin")
        await asyncio.sleep(0.02)


async def stop(workerId, force=False, **_):
    workers[workerId].kill() if force else workers[workerId].terminate()
    if force:
        workers[workerId].wait()


async def gone(workerId, **_):
    """Waits until a worker that was asked to stop has ended."""
    workers[workerId].wait(60)


async def release(jobId=None, all=False, **_):
    open(os.path.join(folder.name, "all" if all else jobId), "w").close()


async def wait(queue, state, count=None, timeoutMs=60_000, **_):
    deadline = time.time() + timeoutMs / 1000
    success = {"completed": True, "failed": False}.get(state)
    while True:
        seen = (await counts(queue))[state] if success is None else await ended(queue, success)
        if seen == count:
            return
        if time.time() > deadline:
            raise RuntimeError(f"{state} is {seen}, never {count}")
        await asyncio.sleep(0.05)


async def ids(queue, state, asc):
    found = [job for job, of in await states(queue) if of == state]
    return found if asc else found[::-1]


async def add_all(queue, jobs):
    return {"jobIds": [(await add(queue, **given))["jobId"] for given in jobs]}


async def add_many(queue, count, **given):
    return await add_all(queue, [given] * count)


async def drain(queue, **_):
    await pool.delete(queue)


async def abort(queue, jobId, **_):
    """Asks for an abort, and does not wait for it."""
    try:
        await of(queue, jobId).abort(timeout=0)
    except asyncio.TimeoutError:
        pass


COMMANDS = {
    "add": add,
    "addBulk": add_all,
    "addMany": add_many,
    "abort": abort,
    "counts": counts,
    "ids": ids,
    "job": job,
    "status": status,
    "startWorker": start,
    "stopWorker": stop,
    "gone": gone,
    "release": release,
    "waitUntil": wait,
    "drain": drain,
}


def answer(message):
    print(json.dumps(message, default=repr), flush=True)


loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
pool = loop.run_until_complete(create_pool(Settings.redis_settings, job_serializer=DUMPS, job_deserializer=LOADS))
answer({"ready": True, "version": version("arq")})
try:
    for line in sys.stdin:
        request = json.loads(line)
        number, command = request.pop("id"), request.pop("cmd")
        try:
            answer({"id": number, "ok": loop.run_until_complete(COMMANDS[command](**request))})
        except Exception as error:
            answer({"id": number, "error": f"{type(error).__name__}: {error}"})
finally:
    for worker in workers.values():
        worker.kill()
