// The ways in which people reach a board.
import { Drover } from "./drover.mjs";
import { startNginx } from "./nginx.mjs";

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
  const drover = await Drover.start({ stores, behindProxy: true });
  const { keep, strip } = await startNginx(drover);
  return [
    Object.assign(new Entrance("behind nginx that keeps the prefix", keep, drover.base), { drover }),
    Object.assign(new Entrance("behind nginx that strips the prefix", strip, drover.base), { drover }),
  ];
}
