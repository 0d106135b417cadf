// The library's own word: asks the oracle process (see end2end/oracle) and waits for its answer.
import { join } from "node:path";
import { createInterface } from "node:readline";
import { REPOSITORY } from "./places.mjs";
import { ready, start } from "./process.mjs";

export class Oracle {
  #child;
  #asked = new Map();
  #last = 0;

  /** BullMQ of this major version on this Redis. */
  static start(redis, major = 6) {
    return Oracle.#of("oracle.mjs", ["--redis", redis.url, "--bullmq", String(major)]);
  }

  /** pg-boss of this major version on this Postgres. */
  static pgboss(postgres, major = 12) {
    return Oracle.#of("pgboss.mjs", ["--postgres", postgres.url, "--major", String(major)]);
  }

  static async #of(program, options) {
    const oracle = new Oracle();
    const args = [join(REPOSITORY, "end2end/oracle", program), ...options];
    // It ends when its stdin closes, so it cannot outlive the tests.
    oracle.#child = start(process.execPath, args, { stdio: ["pipe", "pipe", "pipe"] });
    createInterface({ input: oracle.#child.stdout }).on("line", (line) => oracle.#hear(JSON.parse(line)));
    await ready(oracle.#child, "the oracle", () => oracle.version);
    return oracle;
  }

  #hear({ id, ready, version, ok, error }) {
    if (ready) this.version = version;
    const asked = this.#asked.get(id);
    this.#asked.delete(id);
    if (error === undefined) asked?.resolve(ok);
    else asked?.reject(new Error(error));
  }

  /** Asks about a queue; gives the answer, or throws what the library said. */
  ask(cmd, queue, rest = {}) {
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      this.#asked.set(id, {
        resolve,
        reject: (error) => reject(new Error(`${cmd} on ${queue}: ${error.message}`)),
      });
      this.#child.stdin.write(`${JSON.stringify({ ...rest, id, cmd, queue })}\n`);
    });
  }

  async add(queue, data = {}, rest = {}) {
    return (await this.ask("add", queue, { data, ...rest })).jobId;
  }

  /** A worker that has jobs in hand: `held` of them are active and wait for {@link release}. */
  async hold(queue, ids) {
    await this.ask("startWorker", queue, { workerId: queue, concurrency: ids.length, name: "press-1" });
    for (const jobId of ids) await this.add(queue, { hold: true }, { name: "print", opts: { jobId } });
    await this.ask("waitUntil", queue, { state: "active", count: ids.length });
  }

  release(queue, jobId) {
    return this.ask("release", queue, { jobId });
  }
}
