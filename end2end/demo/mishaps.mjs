// What goes wrong in a shop that nobody planned: a machine goes away in the middle of a job. Nobody renews the job's
// lock; half a minute later another worker finds it and begins it again. Where no other worker is, it stays.
import { randomUUID } from "node:crypto";
import { LIBRARIES, createLoops, openQueue, quietly } from "./library.mjs";
import { int } from "./payloads.mjs";

const RETRY_MS = 3000;
const LOOK_MS = 15_000;

export function loseWorkers(definitions, connection) {
  const definitionOf = (name) => definitions.find((definition) => definition.name === name);
  const loops = createLoops();
  const abandoned = openQueue(definitionOf("crm.sync"), connection);

  /** Takes a job as a worker does, and is never heard of again; false if there was none to take at once. */
  async function lose(name, worker) {
    const { major, prefix } = definitionOf(name);
    const lost = quietly(new LIBRARIES[major].Worker(name, null, { connection, prefix, name: worker }), name);
    try {
      return (await lost.getNextJob(randomUUID(), { block: false })) !== undefined;
    } finally {
      await lost.close();
    }
  }

  // Where jobs queue up, or the other workers would always be quicker.
  loops.forever("search.reindex", async () =>
    (await lose("search.reindex", "search-spot-3")) ? int(120_000, 240_000) : RETRY_MS,
  );
  // The last worker of a queue that nobody works on any more left one job behind.
  loops.forever("crm.sync", async () => {
    const { active, waiting } = await abandoned.getJobCounts("active", "waiting");
    if (active === 0 && waiting > 0) await lose("crm.sync", "crm-sync-old-1");
    return LOOK_MS;
  });

  async function close() {
    loops.stop();
    await abandoned.close();
  }
  return { close };
}
