"""LangGraph's SQLite checkpointer: every event of a thread is a checkpoint of the thread's tasks.

usage: langgraph_sqlite.py HISTORY DIRECTORY LOOKS
"""

import os
import sqlite3
import sys
import time
from bisect import bisect_right
from importlib.metadata import version

from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.sqlite import SqliteSaver

from history import answer, apply, asked, events, size, timed


def main(path, directory, looks):
    history = events(path)
    file = os.path.join(directory, "checkpoints.sqlite")
    connection = sqlite3.connect(file, check_same_thread=False)
    saver = SqliteSaver(connection)
    saver.setup()
    empty = size(directory)
    threads, kept, steps = {}, {}, {}

    def put(event):
        thread = event["thread"]
        tasks = threads.setdefault(thread, {})
        apply(tasks, event)
        step = steps[thread] = steps.get(thread, 0) + 1
        checkpoint = empty_checkpoint()
        checkpoint["id"] = str(uuid6(clock_seq=step))
        checkpoint["channel_values"] = {"tasks": tasks}
        checkpoint["channel_versions"] = {"tasks": step}
        config = {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}
        before = kept.get(thread)
        if before:
            config["configurable"]["checkpoint_id"] = before[-1][1]
        saver.put(config, checkpoint, {"source": "loop", "step": step}, {"tasks": step})
        kept.setdefault(thread, []).append((event["number"], checkpoint["id"]))

    began = time.perf_counter()
    written = timed(lambda event=event: put(event) for event in history)
    seconds = time.perf_counter() - began

    def look(thread, at):
        # The checkpoint at or before the position is known here, which is kind: it is not asked for.
        place = bisect_right(kept[thread], (at, "~"))
        if place == 0:
            return
        config = {
            "configurable": {
                "thread_id": thread,
                "checkpoint_ns": "",
                "checkpoint_id": kept[thread][place - 1][1],
            }
        }
        assert saver.get_tuple(config).checkpoint["channel_values"]["tasks"]

    reads = {
        length: timed(lambda thread=thread, at=at: look(thread, at) for thread, at in picked)
        for length, picked in asked(history, looks)
    }
    synchronous = connection.execute("PRAGMA synchronous").fetchone()[0]
    journal = connection.execute("PRAGMA journal_mode").fetchone()[0]
    means = f"its own process; SQLite commit, {journal}, synchronous={synchronous} (2 is FULL: synced at each)"
    answer(version("langgraph-checkpoint-sqlite"), means, written, seconds, reads, size(directory), empty)
    connection.close()


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
