"""UmaDB over gRPC: every event is one append; a thread's past is its events, folded here.

usage: umadb_grpc.py HISTORY DIRECTORY LOOKS
"""

import json
import os
import socket
import subprocess
import sys
import time
from importlib.metadata import version

import umadb

from history import answer, apply, asked, events, size, timed


def serve(directory):
    """Starts the server that comes with the client, and waits until it listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = os.path.join(os.path.dirname(sys.executable), "umadb")
    server = subprocess.Popen(
        [program, "--listen", f"127.0.0.1:{port}", "--db-path", os.path.join(directory, "uma.db")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 30
    while time.monotonic() < until and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return server, f"http://127.0.0.1:{port}"
        except OSError:
            time.sleep(0.01)
    server.kill()
    sys.exit("the server of UmaDB does not listen")


def main(path, directory, looks):
    history = events(path)
    server, url = serve(directory)
    try:
        client = umadb.Client(url)
        empty = size(directory)
        positions = []

        def append(event):
            data = json.dumps(event).encode()
            tags = [event["thread"], event["task"]]
            event = umadb.Event(event_type=event["what"], data=data, tags=tags)
            positions.append(client.append([event]))

        began = time.perf_counter()
        written = timed(lambda event=event: append(event) for event in history)
        seconds = time.perf_counter() - began

        def look(thread, at):
            query = umadb.Query(items=[umadb.QueryItem(tags=[thread])])
            tasks = {}
            for event in client.read(query=query):
                if event.position > positions[at - 1]:
                    break
                apply(tasks, json.loads(event.event.data))

        reads = {
            length: timed(lambda thread=thread, at=at: look(thread, at) for thread, at in picked)
            for length, picked in asked(history, looks)
        }
        means = "its own process, over gRPC; two fdatasync before each answer, as strace shows"
        answer(version("umadb"), means, written, seconds, reads, size(directory), empty)
    finally:
        server.kill()
        server.wait()


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
