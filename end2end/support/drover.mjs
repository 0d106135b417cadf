// The program under test.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DROVER } from "./places.mjs";
import { folder, freePort, ready, start, until } from "./process.mjs";

export class Drover {
  #child;
  #env;
  #folder = folder();

  /** `stores` is one Redis, or an object of id to URL; `env` holds further settings. */
  static async start({ stores, base = "/admin/queues", behindProxy = false, env = {} }) {
    const drover = new Drover();
    drover.port = await freePort();
    drover.base = base;
    drover.#env = {
      PATH: process.env.PATH,
      DROVER_LISTEN: `127.0.0.1:${drover.port}`,
      DROVER_BASE_PATH: base,
      DROVER_BEHIND_PROXY: String(behindProxy),
      DROVER_AUDIT_FILE: join(drover.#folder, "audit.ndjson"),
      NO_COLOR: "1",
      ...env,
    };
    if (stores.url) drover.#env.DROVER_REDIS_URL = stores.url;
    else drover.#env.DROVER_CONFIG = drover.#write(stores);
    await drover.restart();
    return drover;
  }

  #write(stores) {
    const path = join(this.#folder, "stores.toml");
    const table = ([id, url]) => `[[store]]\nid = ${JSON.stringify(id)}\nurl = ${JSON.stringify(url)}\n`;
    writeFileSync(path, Object.entries(stores).map(table).join("\n"));
    return path;
  }

  get origin() {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Starts it, for the first time or again on the same port. */
  async restart() {
    this.#child = start(DROVER, ["serve"], { env: this.#env, cwd: this.#folder });
    await ready(this.#child, "drover", async () => (await fetch(`${this.origin}/readyz`)).ok);
  }

  /** Gives its exit code, or the signal that ended it. */
  stop(signal) {
    return this.#child.end(signal);
  }

  get log() {
    return this.#child.lines;
  }

  async api(path) {
    const response = await fetch(`${this.origin}/api/v1${path}`);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  /** Waits until the board knows these queues and has counted their jobs. */
  knows(...names) {
    return until(`the board to know ${names.join(", ")}`, async () => {
      const { items } = await this.api("/queues");
      const read = (name) => items.some((queue) => queue.name === name && queue.counts.waiting !== null);
      return names.every(read);
    }, 40_000);
  }
}
