// How applications archive without a tool for it: a cron job that fetches completed jobs with the library, inserts them
// and removes them one by one. With "clean" only the library's own removal, the other half of "COPY and clean". Prints
// the seconds it took, and the most memory the process held, in kilobytes.
import { Queue } from "bullmq";
import pg from "pg";

const [redis, postgres, name, way] = process.argv.slice(2);
const { hostname, port } = new URL(redis);
const queue = new Queue(name, { connection: { host: hostname, port: Number(port) } });
const client = new pg.Client(postgres);
await Promise.all([queue.waitUntilReady(), client.connect()]);
await client.query("CREATE TABLE IF NOT EXISTS usual (queue text, id text, finished timestamptz, job jsonb, PRIMARY KEY (queue, id))");

const began = performance.now();
if (way === "clean") {
  await queue.clean(0, 0, "completed");
} else {
  for (let jobs; (jobs = await queue.getCompleted(0, 999)).length > 0; ) {
    const values = jobs.map((_, i) => `($${i * 4 + 1},$${i * 4 + 2},to_timestamp($${i * 4 + 3}::float8 / 1000),$${i * 4 + 4})`);
    const rows = jobs.flatMap((job) => [name, job.id, job.finishedOn, JSON.stringify(job.toJSON())]);
    await client.query(`INSERT INTO usual VALUES ${values.join(",")} ON CONFLICT DO NOTHING`, rows);
    await Promise.all(jobs.map((job) => job.remove()));
  }
}
console.log((performance.now() - began) / 1000, process.resourceUsage().maxRSS);
await Promise.all([queue.close(), client.end()]);
