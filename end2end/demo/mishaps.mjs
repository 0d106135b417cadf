// What goes wrong in a shop that nobody planned: a machine goes away in the middle of a job. Nobody renews the job's
// lock; half a minute later another worker finds it and begins it again. Where no other worker is, it stays.
import { randomUUID } from "node:crypto";
import { LIBRARIES, createLoops, openQueue, quietly } from "./library.mjs";
import { int } from "./payloads.mjs";

const FIRST_MS = 15_000;

export function loseWorkers(definitions, connection) {
  const definitionOf = (name) => definitions.find((definition) => definition.name === name);
  const loops = createLoops();
  const abandoned = openQueue(definitionOf("crm.sync"), connection);

  /** Takes a job as a worker does, and is never heard of again. */
  async function lose(name, worker) {
    const { major, prefix } = definitionOf(name);
    const lost = quietly(new LIBRARIES[major].Worker(name, null, { connection, prefix, name: worker }), name);
    try {
      await lost.getNextJob(randomUUID());
    } finally {
      await lost.close();
    }
  }

  let begun = false;
  loops.forever("webhooks.outbound", async () => {
    if (begun) await lose("webhooks.outbound", "worker-spot-3");
    const pause = begun ? int(150_000, 300_000) : FIRST_MS;
    begun = true;
    return pause;
  });
  // The last worker of a queue that nobody works on any more left one job behind.
  loops.forever("crm.sync", async () => {
    const { active, waiting } = await abandoned.getJobCounts("active", "waiting");
    if (active === 0 && waiting > 0) await lose("crm.sync", "crm-sync-old-1");
    return FIRST_MS;
  });

  async function close() {
    loops.stop();
    await abandoned.close();
  }
  return { close };
}
