// One place that knows there are two BullMQs in the shop, and what to do when their Redis goes away.
import * as v5 from "bullmq5";
import * as v6 from "bullmq";

export const LIBRARIES = { 5: v5, 6: v6 };

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export function connectionOf(url) {
  const { hostname, port, username, password, pathname } = new URL(url);
  return {
    host: hostname,
    port: Number(port || 6379),
    ...(username && { username: decodeURIComponent(username) }),
    ...(password && { password: decodeURIComponent(password) }),
    ...(pathname.length > 1 && { db: Number(pathname.slice(1)) }),
    // Back soon after an outage: the demo is for watching.
    retryStrategy: (times) => Math.min(200 * times, 2000),
  };
}

// An outage would otherwise print a line per connection and retry. One per queue says it; the next outage says it again.
const troubled = new Set();

export function noteTrouble(queue, error) {
  if (troubled.has(queue)) return;
  troubled.add(queue);
  console.error(`${queue}: ${error?.message || error?.code || error}`);
}

export const noteHealth = (queue) => troubled.delete(queue);

export function quietly(emitter, queue) {
  emitter.on("error", (error) => noteTrouble(queue, error));
  return emitter;
}
