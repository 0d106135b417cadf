// A Postgres of one's own on a free port.
import { chownSync, mkdirSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import pg from "pg";
import { folder, freePort, ready, start } from "./process.mjs";

export class Postgres {
  #child;

  static async start() {
    const postgres = new Postgres();
    postgres.port = await freePort();
    // The server refuses to run as root: it gets the user that its package made, and a folder of that user's below ours.
    const root = process.getuid() === 0;
    const [uid, gid] = root ? ["-u", "-g"].map((what) => Number(execFileSync("id", [what, "postgres"]))) : [];
    const place = folder();
    const data = join(place, "data");
    mkdirSync(data);
    if (root) for (const path of [place, data]) chownSync(path, uid, gid);
    const options = { cwd: "/", ...(root && { uid, gid }) };
    const made = start("initdb", ["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "-U", "owner", "-D", data], options);
    if ((await made.gone) !== 0) throw new Error(`initdb failed: ${made.lines.join("\n")}`);
    const own = ["listen_addresses=127.0.0.1", "unix_socket_directories="].flatMap((setting) => ["-c", setting]);
    postgres.#child = start("postgres", ["-D", data, "-p", String(postgres.port), ...own], options);
    await ready(postgres.#child, "postgres", () => postgres.ask("SELECT 1"));
    return postgres;
  }

  get url() {
    return `postgres://owner@127.0.0.1:${this.port}/postgres`;
  }

  /** The rows that a statement gives. */
  async ask(sql, values = []) {
    const client = new pg.Client({ connectionString: this.url });
    try {
      await client.connect();
      return (await client.query(sql, values)).rows;
    } finally {
      await client.end();
    }
  }
}
