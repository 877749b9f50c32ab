"""What the scripts for single stores share: the history that they are given, and what they answer.

A history is a file with one JSON object a line: number, thread, task, what happened (spawn,
progress or finish) and its text. A script writes it event by event, each durable before the next,
then asks for the state of single threads at positions somewhere in the past, and prints one JSON
object with what it measured, times in seconds.
"""

import json
import os
import random
import time


def events(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def apply(tasks, event):
    """Folds one event into the tasks of its thread."""
    if event["what"] == "spawn":
        tasks[event["task"]] = {"status": "running", "description": event["text"]}
    elif event["what"] == "progress":
        tasks[event["task"]]["progress"] = event["text"]
    else:
        tasks[event["task"]].update(status="done", result=event["text"])


def timed(calls):
    """Seconds of each call."""
    took = []
    for call in calls:
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return took


def share(times, percent):
    ordered = sorted(times)
    return ordered[min(len(ordered) * percent // 100, len(ordered) - 1)]


def asked(history, looks):
    """Threads of 100 and of 1,000 events, each with a position somewhere in the log."""
    lengths = {}
    for event in history:
        lengths[event["thread"]] = lengths.get(event["thread"], 0) + 1
    chance = random.Random(1)
    for length in (100, 1000):
        threads = sorted(thread for thread, of in lengths.items() if of == length)
        picked = [(chance.choice(threads), chance.randrange(1, len(history) + 1)) for _ in range(looks)]
        yield str(length), picked


def size(directory):
    """Bytes of all files in it."""
    return sum(
        os.path.getsize(os.path.join(place, name))
        for place, _, names in os.walk(directory)
        for name in names
    )


def answer(version, means, written, seconds, reads, full, empty):
    print(
        json.dumps(
            {
                "version": version,
                "means": means,
                "writes": len(written) / seconds,
                "write_p50": share(written, 50),
                "write_p99": share(written, 99),
                "reads": {
                    length: {"p50": share(times, 50), "p99": share(times, 99)}
                    for length, times in reads.items()
                },
                "bytes": full,
                "empty": empty,
            }
        )
    )
