// What a test's worker does with a job is written in the job's own data:
//
//   ms            sleep this long                     hold: true    wait until the test releases the job
//   progress      values to report, stepMs apart      log           lines to log
//   fail          throw an Error with this message    failTimes     fail the first n attempts
//   unrecoverable throw UnrecoverableError            randomFail    probability of failing, 0..1
//   returns       the return value
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Jobs that wait for the test's word. A job may be released before its worker has begun it: the word is kept. */
export class Gate {
  #waiting = new Map();
  #early = new Set();

  wait(key) {
    if (this.#early.delete(key)) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.set(key, resolve));
  }

  /** True when a job was waiting, false when the word is kept for later. */
  release(key) {
    const resolve = this.#waiting.get(key);
    if (!resolve) {
      this.#early.add(key);
      return false;
    }
    this.#waiting.delete(key);
    resolve();
    return true;
  }

  /** A word that came early is good for one attempt only. */
  forget(key) {
    this.#early.delete(key);
  }

  keys() {
    return [...this.#waiting.keys()];
  }
}

export function createProcessor({ keyOf, report, unrecoverable }, gate) {
  async function attempt(job) {
    const data = job.data ?? {};
    for (const line of data.log ?? []) await job.log(line);
    for (const [step, value] of (data.progress ?? []).entries()) {
      if (step > 0 && data.stepMs) await sleep(data.stepMs);
      await report(job, value);
    }
    if (data.hold === true) await gate.wait(keyOf(job));
    if (data.ms) await sleep(data.ms);

    if (data.unrecoverable) throw unrecoverable(job, data.fail ?? "unrecoverable");
    if (data.failTimes !== undefined) {
      if (job.attemptsMade < data.failTimes) throw new Error(data.fail ?? `attempt ${job.attemptsMade + 1} failed`);
    } else if (data.fail !== undefined) {
      throw new Error(data.fail);
    }
    if (Math.random() < (data.randomFail ?? 0)) throw new Error("random failure");
    return data.returns;
  }

  return (job) => attempt(job).finally(() => gate.forget(keyOf(job)));
}
