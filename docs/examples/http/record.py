#!/usr/bin/env python3
"""Records a small tree of tasks over HTTP and reads it back: a parent, two children, one that fails.

    TASKLEDGER_TOKEN=.. record.py http://127.0.0.1:7300     a token with the role append
    record.py unix:ledger/ledger.sock                       no token, as the same user

Needs Python and nothing else. SSL_CERT_FILE names the certificate of an https server of your own.
"""

import http.client
import json
import os
import socket
import sys
import time
import urllib.parse
import uuid


class UnixConnection(http.client.HTTPConnection):
    """A connection by a Unix socket."""

    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self.path)


class Ledger:
    """A ledger behind a server."""

    def __init__(self, target, token=None):
        self.target = target
        self.token = token

    def connection(self):
        if self.target.startswith("unix:"):
            return UnixConnection(self.target.removeprefix("unix:"))
        url = urllib.parse.urlsplit(self.target)
        https = url.scheme == "https"
        make = http.client.HTTPSConnection if https else http.client.HTTPConnection
        return make(url.netloc, timeout=30)

    def ask(self, path, body=None, key=None):
        """The answer as JSON. Raises with the problem if it is refused."""
        headers = {}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            headers |= {"Content-Type": "application/json", "Idempotency-Key": key}
            body = json.dumps(body)
        connection = self.connection()
        try:
            connection.request("POST" if body else "GET", path, body, headers)
            answer = connection.getresponse()
            text = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status >= 400:
            raise Refused(text)
        return text

    def record(self, path, body, key):
        """Records, and sends it again with the same key until the answer is there."""
        for pause in [0.1, 0.5, 2, None]:
            try:
                return self.ask(path, body, key)
            except Refused as refused:
                if pause is None or not refused.problem["retryable"]:
                    raise
            except OSError:
                if pause is None:
                    raise
            time.sleep(pause)


class Refused(Exception):
    """A refusal: problem details, by whose `code` a program decides."""

    def __init__(self, problem):
        super().__init__(f"{problem['code']}: {problem['detail']}")
        self.problem = problem


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: record.py URL|unix:PATH")
    ledger = Ledger(sys.argv[1], os.environ.get("TASKLEDGER_TOKEN"))
    thread = f"example-{uuid.uuid4()}"

    def spawn(description, parent=None):
        task = {"thread_id": thread, "task_type": "shell", "description": description}
        if parent:
            task["parent_task_id"] = parent
        return ledger.record("/v1/tasks", task, f"{thread} {description}")["task_id"]

    def end(task, **how):
        path = f"/v1/tasks/{urllib.parse.quote(task, safe='')}/end"
        return ledger.record(path, how, f"{thread} end {task}")

    build = spawn("Build the release")
    compiling = spawn("Compile", build)
    testing = spawn("Run the tests", build)
    end(compiling, status="completed", result={"warnings": 0})
    end(testing, status="failed", error="2 of 31 tests failed")
    first = end(build, status="failed", error="the tests failed")
    again = end(build, status="failed", error="the tests failed")
    assert again["repeated"] and again["seq"] == first["seq"]

    tree = ledger.ask(f"/v1/threads/{thread}/tree")["items"]
    for task in tree:
        print("  " * (task["depth"] - 1) + task["status"], task["description"], sep="  ")
    assert [task["task_id"] for task in tree] == [build, compiling, testing]
    assert [task["status"] for task in tree] == ["failed", "completed", "failed"]
    try:
        end(testing, status="completed")
    except Refused as refused:
        # The key is that of another end of this task: it ended already, and otherwise.
        assert refused.problem["code"] == "key-reused", refused
    else:
        raise AssertionError("a task ends once")


if __name__ == "__main__":
    main()
