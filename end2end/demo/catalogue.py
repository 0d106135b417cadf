"""The shop's suppliers: arq, on the same Redis as the shop.

    DEMO_REDIS=redis://… python -m arq catalogue.Settings

A cron job asks the suppliers what is new; each answer becomes a job.
"""

import asyncio
import os
import random

from arq import Retry, cron
from arq.connections import RedisSettings

SUPPLIERS = ["northwind", "lumen", "atelier-brun", "kobo-paper"]


class FeedError(Exception):
    """What a supplier sent cannot be read."""


async def ask_suppliers(ctx):
    for supplier in random.sample(SUPPLIERS, random.randint(1, 3)):
        later = {"_defer_by": random.randint(30, 120)} if random.random() < 0.2 else {}
        await ctx["redis"].enqueue_job("import_prices", supplier, rows=random.randint(20, 900), **later)
        if random.random() < 0.5:
            await ctx["redis"].enqueue_job("check_stock", supplier)


async def import_prices(ctx, supplier, rows):
    await asyncio.sleep(random.uniform(0.5, 3))
    if random.random() < 0.06 and ctx["job_try"] < 3:
        raise Retry(defer=random.randint(15, 45))
    if random.random() < 0.03:
        raise FeedError(f"{supplier}: row {random.randint(1, rows)} has no currency")
    return {"supplier": supplier, "changed": random.randint(0, rows)}


async def check_stock(ctx, supplier):
    await asyncio.sleep(random.uniform(0.1, 0.6))
    if random.random() < 0.02:
        raise TimeoutError(f"{supplier} did not answer in 10 s")
    return random.randint(0, 500)


class Settings:
    functions = [import_prices, check_stock]
    cron_jobs = [cron(ask_suppliers, second=set(range(0, 60, 5)))]
    redis_settings = RedisSettings.from_dsn(os.environ["DEMO_REDIS"])
    queue_name = "catalogue"
    max_jobs = 2
    keep_result = 3600
    health_check_interval = 10
