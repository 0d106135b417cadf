// How the usual boards act on many jobs: fetch them with the library and call each one's own method; or its clean().
// Prints the seconds it took.
import { Queue } from "bullmq";

const [url, name, action, ending] = process.argv.slice(2);
const { hostname, port } = new URL(url);
const queue = new Queue(name, { connection: { host: hostname, port: Number(port) } });
await queue.waitUntilReady();

const began = performance.now();
if (action === "clean") {
  await queue.clean(0, 0, "failed");
} else {
  const jobs = (await queue.getJobs(["failed"])).filter((job) => job.id.endsWith(ending));
  await Promise.all(jobs.map((job) => (action === "retry" ? job.retry("failed") : job.remove())));
}
console.log((performance.now() - began) / 1000);
await queue.close();
