"""A worker of BullMQ's port to Python, for integration tests.

    .tools/python/bin/python end2end/oracle/worker.py REDIS_URL QUEUE [NAME]

A job takes as many milliseconds as its data say (`ms`). The process ends when its standard input closes.
"""

import asyncio
import sys

from bullmq import Worker


async def process(job, token):
    await asyncio.sleep((job.data or {}).get("ms", 0) / 1000)


async def main(url, queue, name=None):
    options = {"connection": url}
    if name:
        options["name"] = name
    worker = Worker(queue, process, options)
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await worker.close(force=True)


asyncio.run(main(*sys.argv[1:]))
