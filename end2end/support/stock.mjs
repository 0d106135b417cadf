// A Redis with something of everything, made by the library itself.

/** Jobs that stay waiting: more than two pages. */
export const WAITING = 120;

export const STACK_LINE = "at attempt (";
export const ERROR = "card declined by the bank: insufficient funds";
export const LOG = ["asked the bank", "the bank said no"];

/**
 * Fills `orders` with jobs in every state and puts queues in each condition beside it. `held` stays active until the
 * worker ends.
 */
export async function stock(oracle, legacy) {
  const queue = "orders";
  const minutesAgo = (n) => Date.now() - n * 60_000;
  await oracle.ask("startWorker", queue, { workerId: "till", name: "till-eu-1" });

  const amount = { amount: 12345678901234, currency: "EUR", items: [{ sku: "A-1", n: 2 }] };
  await oracle.add(queue, { ...amount, log: LOG, fail: ERROR }, { name: "charge", opts: { jobId: "charge-1", attempts: 2 } });
  await oracle.ask("waitUntil", queue, { state: "failed", count: 1 });
  await oracle.add(queue, { ...amount, returns: { receipt: "R-77" } }, { name: "charge", opts: { jobId: "charge-2" } });
  await oracle.ask("waitUntil", queue, { state: "completed", count: 1 });
  await oracle.add(queue, { hold: true, progress: [40] }, { name: "charge", opts: { jobId: "held" } });
  await oracle.ask("waitUntil", queue, { state: "active", count: 1 });
  await oracle.ask("addMany", queue, { count: WAITING, name: "charge", data: amount });
  await oracle.add(queue, amount, { name: "remind", opts: { jobId: "later", delay: 3_600_000 } });
  await oracle.add(queue, amount, { name: "charge", opts: { jobId: "first-class", priority: 3 } });
  const children = [{ name: "pick", queueName: "parts", data: {}, opts: { jobId: "part-1" } }];
  await oracle.ask("flow", queue, { tree: { name: "pack", queueName: queue, data: {}, opts: { jobId: "parcel" }, children } });

  // Their workers are there and have their hands full.
  for (const [name, minutes] of Object.entries({ stuck: 12, slow: 1.2 })) {
    await oracle.hold(name, [`in-hand-of-${name}`]);
    await oracle.add(name, {}, { opts: { timestamp: minutesAgo(minutes) } });
  }
  await oracle.add("parked", {});
  await oracle.ask("pause", "parked");
  await legacy?.add("legacy", {});
  return ["orders", "parts", "stuck", "slow", "parked", ...(legacy ? ["legacy"] : [])];
}

/** The library's counts under the names of the board. */
export async function countsOf(oracle, queue) {
  const counts = await oracle.ask("counts", queue);
  return {
    waiting: counts.waiting,
    prioritized: counts.prioritized,
    active: counts.active,
    delayed: counts.delayed,
    parents: counts["waiting-children"],
    completed: counts.completed,
    failed: counts.failed,
  };
}
