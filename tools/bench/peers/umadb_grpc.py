"""UmaDB over gRPC: every event is one append; a thread's past is its events, folded here.

usage: umadb_grpc.py HISTORY DIRECTORY LOOKS
"""

import json
import sys
import time
from importlib.metadata import version

import umadb

from history import answer, apply, asked, events, size, timed
from umadb_server import serve


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
