// A Redis of one's own on a free port.
import { connect } from "node:net";
import { program } from "./places.mjs";
import { folder, freePort, ready, start } from "./process.mjs";

export class Redis {
  #args;
  #child;

  /** With `keep` the data outlives the process. */
  static async start({ keep = false, password } = {}) {
    const redis = new Redis();
    redis.port = await freePort();
    redis.password = password;
    redis.#args = ["--port", redis.port, "--bind", "127.0.0.1", "--dir", folder(), "--save", ""].map(String);
    redis.#args.push("--maxmemory-policy", "noeviction");
    if (keep) redis.#args.push("--appendonly", "yes", "--appendfsync", "always");
    if (password) redis.#args.push("--requirepass", password);
    await redis.restart();
    return redis;
  }

  /** Its address, for who knows the password. */
  get url() {
    return this.urlWith(this.password);
  }

  urlWith(password) {
    return `redis://${password ? `:${password}@` : ""}127.0.0.1:${this.port}`;
  }

  /** Starts it, for the first time or again on the same port. */
  async restart() {
    this.#child = start(program("redis-server"), this.#args);
    await ready(this.#child, "redis-server", () => answers(this.port));
  }

  /** Gives it commands as a person would type them, one after the other; throws what it refuses. */
  async say(...lines) {
    const socket = connect(this.port, "127.0.0.1");
    const words = [...(this.password ? [`AUTH ${this.password}`] : []), ...lines, "QUIT"];
    socket.end(words.map((line) => `${line}\r\n`).join(""));
    const answers = (await socket.toArray()).join("");
    const refused = answers.split("\r\n").find((line) => line.startsWith("-"));
    if (refused) throw new Error(`${lines.join("; ")}: ${refused}`);
    return answers;
  }

  kill() {
    return this.#child.end("SIGKILL");
  }

  freeze() {
    this.#child.kill("SIGSTOP");
  }

  thaw() {
    this.#child.kill("SIGCONT");
  }
}

/** Whether it says anything but that it is still loading; being asked for a password is an answer. */
function answers(port) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write("PING\r\n"));
    socket.on("error", () => resolve(false));
    socket.on("data", (text) => {
      socket.destroy();
      resolve(!String(text).startsWith("-LOADING"));
    });
  });
}
