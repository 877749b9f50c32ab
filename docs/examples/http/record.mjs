// Records a small tree of tasks over HTTP and reads it back: a parent, two children, one that fails.
//
//     TASKLEDGER_TOKEN=.. node record.mjs http://127.0.0.1:7300     a token with the role append
//
// Needs Node 20 and nothing else; `fetch` knows no Unix sockets. NODE_EXTRA_CA_CERTS names the
// certificate of an https server of your own. Types: docs/openapi.json.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

/**
 * @typedef {object} Receipt An event that was recorded.
 * @property {number} seq
 * @property {string | null} task_id
 * @property {boolean} repeated The key was there already.
 * @property {boolean} durable
 */

/**
 * @typedef {object} Task
 * @property {string} task_id
 * @property {string} status
 * @property {string} description
 * @property {number} depth
 */

/** A refusal: problem details, by whose `code` a program decides. */
class Refused extends Error {
  /** @param {{code: string, detail: string, retryable: boolean}} problem */
  constructor(problem) {
    super(`${problem.code}: ${problem.detail}`);
    this.problem = problem;
  }
}

class Ledger {
  /**
   * @param {string} url
   * @param {string | undefined} token
   */
  constructor(url, token) {
    this.url = url;
    this.token = token;
  }

  /**
   * @param {string} path
   * @param {RequestInit} [request]
   * @returns {Promise<any>}
   */
  async ask(path, request = {}) {
    const headers = { ...request.headers, Authorization: `Bearer ${this.token}` };
    const answer = await fetch(new URL(path, this.url), { ...request, headers });
    const body = await answer.json();
    if (!answer.ok) throw new Refused(body);
    return body;
  }

  /**
   * Records. Sent again with the same key, it is recorded once.
   *
   * @param {string} path
   * @param {string} key
   * @param {object} body
   * @returns {Promise<Receipt>}
   */
  async record(path, key, body) {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
    return this.ask(path, { method: "POST", headers, body: JSON.stringify(body) });
  }
}

const url = process.argv[2];
if (!url) {
  console.error("usage: record.mjs URL");
  process.exit(2);
}
const ledger = new Ledger(url, process.env.TASKLEDGER_TOKEN);
const thread = `example-${randomUUID()}`;

/**
 * @param {string} description
 * @param {string} [parent]
 */
async function spawn(description, parent) {
  const task = { thread_id: thread, task_type: "shell", description, parent_task_id: parent };
  const { task_id } = await ledger.record("/v1/tasks", `${thread} ${description}`, task);
  assert(task_id, "a spawn has a task");
  return task_id;
}

/**
 * @param {string} task
 * @param {{status: "completed" | "failed" | "cancelled", result?: unknown, error?: string}} how
 */
function end(task, how) {
  const path = `/v1/tasks/${encodeURIComponent(task)}/end`;
  return ledger.record(path, `${thread} end ${task}`, how);
}

const build = await spawn("Build the release");
const compiling = await spawn("Compile", build);
const testing = await spawn("Run the tests", build);
await end(compiling, { status: "completed", result: { warnings: 0 } });
await end(testing, { status: "failed", error: "2 of 31 tests failed" });
const first = await end(build, { status: "failed", error: "the tests failed" });
const again = await end(build, { status: "failed", error: "the tests failed" });
assert(again.repeated && again.seq === first.seq);

/** @type {{items: Task[]}} */
const tree = await ledger.ask(`/v1/threads/${thread}/tree`);
for (const task of tree.items) {
  console.log(`${"  ".repeat(task.depth - 1)}${task.status}  ${task.description}`);
}
assert.deepEqual(tree.items.map((task) => task.task_id), [build, compiling, testing]);
assert.deepEqual(tree.items.map((task) => task.status), ["failed", "completed", "failed"]);
await assert.rejects(end(testing, { status: "completed" }), (error) => {
  // The key is that of another end of this task: it ended already, and otherwise.
  return error instanceof Refused && error.problem.code === "key-reused";
});
