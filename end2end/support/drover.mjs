// The program under test.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DROVER } from "./places.mjs";
import { folder, freePort, ready, start, until } from "./process.mjs";

/** What the proxies of the tests prove themselves with. */
export const PROXY_SECRET = "the secret of a proxy in a test";

export class Drover {
  #child;
  #env;
  #folder = folder();

  /**
   * `stores` is one Redis, or an object of id to URL; `auth` how people are recognised; `config` further tables of the
   * configuration, `env` further settings.
   */
  static async start({ stores, base = "/admin/queues", auth = "none", config = "", env = {} }) {
    const drover = new Drover();
    drover.port = await freePort();
    drover.base = base;
    drover.#env = {
      PATH: process.env.PATH,
      DROVER_LISTEN: `127.0.0.1:${drover.port}`,
      DROVER_BASE_PATH: base,
      DROVER_AUTH_MODE: auth,
      DROVER_AUDIT_FILE: join(drover.#folder, "audit.ndjson"),
      NO_COLOR: "1",
      ...env,
    };
    if (auth === "proxy") {
      drover.#env.DROVER_PROXY_SECRET = PROXY_SECRET;
      drover.#env.DROVER_TRUSTED_PROXIES = "127.0.0.1";
      drover.headers = { "X-Drover-Proxy-Secret": PROXY_SECRET, "X-Forwarded-User": "test" };
    }
    if (stores.url) drover.#env.DROVER_REDIS_URL = stores.url;
    drover.#env.DROVER_CONFIG ??= drover.#write(stores.url ? {} : stores, config);
    await drover.restart();
    return drover;
  }

  #write(stores, config) {
    const path = join(this.#folder, "stores.toml");
    const table = ([id, url]) => `[[store]]\nid = ${JSON.stringify(id)}\nurl = ${JSON.stringify(url)}\n`;
    writeFileSync(path, [config, ...Object.entries(stores).map(table)].join("\n"));
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

  freeze() {
    this.#child.kill("SIGSTOP");
  }

  thaw() {
    this.#child.kill("SIGCONT");
  }

  /** Runs Drover's own command line with the same settings; gives what it printed. */
  command(...args) {
    return execFileSync(DROVER, args, { env: this.#env, cwd: this.#folder, encoding: "utf8" });
  }

  get log() {
    return this.#child.lines;
  }

  async api(path) {
    const response = await fetch(`${this.origin}/api/v1${path}`, { headers: this.headers });
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
