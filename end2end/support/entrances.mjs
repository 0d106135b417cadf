// The ways in which people reach a board.
import { Drover } from "./drover.mjs";
import { startNginx, startTls } from "./nginx.mjs";
import { freePort } from "./process.mjs";

/** One address of the board; every other one is made from it. */
export class Entrance {
  constructor(name, origin, base) {
    this.name = name;
    this.origin = origin;
    this.base = base;
  }

  get overview() {
    return this.base || "/";
  }

  queue(name, { store = "redis", prefix = "bull", query = "" } = {}) {
    return `${this.base}/queues/${store}/${prefix}:${encodeURIComponent(name)}${query}`;
  }

  job(name, id, options = {}) {
    return `${this.queue(name, options)}/jobs/${encodeURIComponent(id)}`;
  }

  /** A queue of a Postgres: its id is its name. */
  boss(name, query = "") {
    return `${this.base}/queues/postgres/${encodeURIComponent(name)}${query}`;
  }

  store(id = "redis") {
    return `${this.base}/stores/${id}`;
  }

  workers(query = "") {
    return `${this.base}/workers${query}`;
  }

  schedules(query = "") {
    return `${this.base}/schedules${query}`;
  }

  /** Whether an address lies on the board. */
  owns(address) {
    const url = new URL(address, this.origin + this.overview);
    if (url.protocol === "data:") return true;
    const below = url.pathname === this.overview || url.pathname.startsWith(`${this.base}/`);
    return url.origin === this.origin && below;
  }
}

/** A Drover that is asked directly. */
export async function direct(stores, base = "/admin/queues", env = {}) {
  const drover = await Drover.start({ stores, base, env });
  const entrance = new Entrance(base === "/" ? "at the root of its host" : "directly", drover.origin, base === "/" ? "" : base);
  return Object.assign(entrance, { drover });
}

/** A Drover behind nginx, which keeps the prefix at one address and strips it at another. */
export async function proxied(stores) {
  const config = `[[auth.grant]]\nusers = ["*"]\nrole = "admin"\n`;
  const drover = await Drover.start({ stores, auth: "proxy", config });
  const { keep, strip } = await startNginx(drover);
  return [
    Object.assign(new Entrance("behind nginx that keeps the prefix", keep, drover.base), { drover }),
    Object.assign(new Entrance("behind nginx that strips the prefix", strip, drover.base), { drover }),
  ];
}

/**
 * A Drover with sign-in, behind an nginx that encrypts and speaks HTTP/2. `people` are [name, role] or
 * [name, role, glob]; gives their passwords.
 */
export async function signedIn(stores, people, env = {}) {
  const port = await freePort();
  const origin = `https://127.0.0.1:${port}`;
  const drover = await Drover.start({
    stores,
    auth: "password",
    env: { DROVER_PUBLIC_URL: origin, DROVER_TRUSTED_PROXIES: "127.0.0.1", ...env },
  });
  await startTls(drover, port);
  const passwords = {};
  for (const [name, role, ...queues] of people) {
    const globs = queues.flatMap((glob) => ["--queues", glob]);
    passwords[name] = drover.command("user", "add", name, "--role", role, ...globs).trim().split("\n").at(-1);
  }
  return Object.assign(new Entrance("signed in over TLS", origin, drover.base), { drover, passwords });
}
