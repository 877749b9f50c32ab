"""UmaDB over gRPC, asked to spawn tasks by many threads at once: the job of the ledger, as far as
an event store does it. One client carries the requests of all threads, which serves it better than a
client for each. The condition of an append is that no event has the task or the key; the
parent is looked for before, and stays once it is there.

usage: umadb_spawns.py DIRECTORY CALLERS BATCH MILLIS
"""

import json
import sys
import threading
import time
from importlib.metadata import version

import umadb

from history import share
from umadb_server import serve


def wish(caller, nth):
    """The spawn number `nth` of a caller: its task, its key, its parent and its fields."""
    task = f"toolu_{caller:06}_{nth:06}VLA5nubMbAx"
    parent = f"toolu_{caller:06}_{0:06}VLA5nubMbAx" if nth else None
    thread = f"session-{caller:08x}-4b6b-49c3-8c89"
    number = nth * (1 << 20) + caller
    fields = {
        "thread_id": thread,
        "task_type": "sub_agent",
        "task_id": task,
        "name": "general-purpose",
        "description": f"Read chapter {nth} and list what it promises its readers",
        "parent_task_id": parent,
        "run_id": f"run-{caller:08x}",
        "call_id": f"call_{number:016x}",
        "agent_id": "planner",
    }
    return task, f"key:{number:032x}", parent, thread, json.dumps(fields).encode()


def spawn(client, wishes):
    mine = {task for task, *_ in wishes}
    for parent in {parent for _, _, parent, _, _ in wishes if parent} - mine:
        there = umadb.Query(items=[umadb.QueryItem(tags=[parent])])
        assert list(client.read(query=there, limit=1)), f"there is no task {parent}"
    events, taken = [], []
    for task, key, _, thread, data in wishes:
        events.append(umadb.Event(event_type="spawn", data=data, tags=[thread, task, key]))
        taken += [umadb.QueryItem(tags=[task]), umadb.QueryItem(tags=[key])]
    none = umadb.AppendCondition(fail_if_events_match=umadb.Query(items=taken))
    client.append(events, condition=none)


def main(directory, callers, batch, seconds):
    server, url = serve(directory)
    client = umadb.Client(url)
    took, failed = [[] for _ in range(callers)], []
    start = threading.Barrier(callers + 1)

    def work(caller):
        try:
            nth = 0
            start.wait()
            until = time.perf_counter() + seconds
            while time.perf_counter() < until:
                wishes = [wish(caller, nth + more) for more in range(batch)]
                nth += batch
                began = time.perf_counter()
                spawn(client, wishes)
                took[caller].append(time.perf_counter() - began)
        except BaseException as error:
            failed.append(error)
            start.abort()

    try:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(callers)]
        for thread in threads:
            thread.start()
        try:
            start.wait()
        except threading.BrokenBarrierError:
            pass
        began = time.perf_counter()
        for thread in threads:
            thread.join()
        lasted = time.perf_counter() - began
        if failed:
            sys.exit(f"a caller failed: {failed[0]!r}")
        times = [one for each in took for one in each]
        rate = len(times) * batch / lasted
        print(
            json.dumps(
                {
                    "version": version("umadb"),
                    "rate": rate,
                    "p50": share(times, 50),
                    "p99": share(times, 99),
                }
            )
        )
    finally:
        server.kill()
        server.wait()


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]) / 1000)
