"""Calls every operation of a client that openapi-python-client made of docs/openapi.json.

    calls.py URL, with tokens of the roles append, admin and replicate in APPEND_TOKEN, ADMIN_TOKEN and
    NODE_TOKEN

Run by run.sh. The generator leaves out what it cannot express: an answer as lines or as a stream. These
have the same operations, and other media types, which a client reads by hand.
"""

import importlib
import os
import pkgutil
import sys

import taskledger_client.api
from taskledger_client import AuthenticatedClient, models
from taskledger_client.types import Unset

CALLED = set()
URL = sys.argv[1]
APPEND = AuthenticatedClient(URL, os.environ["APPEND_TOKEN"])
ADMIN = AuthenticatedClient(URL, os.environ["ADMIN_TOKEN"])
NODE = AuthenticatedClient(URL, os.environ["NODE_TOKEN"])


def call(operation, *path, client=APPEND, expected=200, **arguments):
    """Calls `group.operation`, and expects this status and an answer that could be read."""
    module = importlib.import_module(f"taskledger_client.api.{operation}")
    CALLED.add(operation)
    response = module.sync_detailed(*path, client=client, **arguments)
    assert response.status_code == expected, f"{operation}: {response}"
    assert response.parsed is not None, f"{operation}: {response}"
    return response.parsed


def record(operation, *path, body, expected=200, client=APPEND, key=None):
    key = key or f"{operation} {path} {body}"[:256]
    return call(
        operation, *path, client=client, expected=expected, body=body, idempotency_key=key
    )


def questions(thread, task, seq):
    threads = call("questions.list_threads")
    assert thread in [item.thread_id for item in threads.items], threads
    ended = "failed,completed"
    tasks = call("questions.list_tasks", thread=thread, status=ended, reverse=True, count=10)
    assert [item.status.value for item in tasks.items] == ["failed"], tasks
    assert len(call("questions.get_tree", thread, depth=2).items) == 2
    call("questions.get_timeline", thread)
    shown = call("questions.get_task", task)
    assert shown.task.error == "2 of 31 tests failed" and len(shown.history) > 1, shown
    call("questions.get_why", task, at="@")
    log = call("questions.get_log", thread=thread, action="terminated")
    assert [line.task_id for line in log.items] == [task], log
    assert call("questions.get_event", seq).seq == seq
    call("questions.get_diff", thread=thread, from_="1", stat=True)
    first = call("questions.get_first", thread=thread, where="failed>0")
    assert first.event.task_id == task, first
    call("questions.get_stats")
    size = call("questions.get_checkpoint").size
    assert call("questions.prove_growth", since=1).size == size
    assert call("questions.prove_event", seq, with_texts=True).size == size
    call("questions.get_openapi")


def refusals(task):
    """A refusal is an answer with a code, by which a program decides."""
    unknown = call("questions.get_task", "nobody", expected=404)
    assert unknown.code == "unknown-task" and not unknown.retryable, unknown
    late = models.EndTaskRequest(status=models.EndStatus.COMPLETED)
    refused = record("recording.end_task", task, body=late, expected=409)
    assert refused.code == "already-ended", refused
    message = models.MessageRequest(from_="calls.py", content="hello")
    refused = record("recording.send_message", task, body=message, expected=409)
    assert refused.code == "no-inbox", refused
    redaction = models.RedactEventRequest(seq=1, parts=[models.PartWord.REASON], reason="x")
    refused = record("recording.redact_event", body=redaction, expected=403)
    assert refused.code == "role", refused


def replication():
    """Fences the server: the last that is asked of it."""
    assert call("replication.list_standbys").items == []
    node = call("replication.get_node", client=NODE)
    assert node.role == "primary" and node.promised is None, node
    assert call("replication.get_root", node.size, client=NODE).root == node.root
    assert call("replication.get_standby").node.role == "primary"
    wish = models.PromoteRequest(expect_epoch=99)
    kept = call("replication.promote", client=ADMIN, expected=409, body=wish)
    assert kept.code == "not-promoted", kept
    ack = models.AckRequest(session="none", size=node.size, root=node.root)
    gone = call("replication.acknowledge", client=NODE, expected=410, body=ack)
    assert gone.code == "session-gone", gone
    news = models.EpochRequest(epoch=node.epoch, size=1, root=node.root)
    assert call("replication.announce_epoch", client=NODE, body=news).role == "primary"
    next_epoch = models.EpochItem(number=node.epoch.number + 1, nonce=7)
    promise = models.PromiseRequest(epoch=next_epoch)
    fenced = call("replication.promise", client=NODE, body=promise)
    assert fenced.role == "fenced" and fenced.promised.number == next_epoch.number, fenced
    spawn = models.SpawnTaskRequest(thread_id="t", task_type="shell")
    again = call("replication.promise", client=NODE, body=promise)
    assert again == fenced, again
    refused = record("recording.spawn_task", body=spawn, expected=421)
    assert refused.code == "fenced" and refused.epoch.number == next_epoch.number, refused


def main():
    assert call("health.alive") == "alive\n"
    assert call("health.ready") == "ready\n"
    assert "taskledger_log_events" in call("health.metrics")
    thread = "generated/client"
    spawn = models.SpawnTaskRequest(
        thread_id=thread, task_type="shell", task_id="a/b", description="make all"
    )
    first = record("recording.spawn_task", body=spawn, expected=201, key="once")
    assert not first.repeated and isinstance(first.delivered, Unset), first
    again = record("recording.spawn_task", body=spawn, expected=201, key="once")
    assert again.repeated and again.seq == first.seq, again
    task = first.task_id
    progress = models.EmitEventRequest(event_type="progress", content={"percent": 50})
    emitted = record("recording.emit_event", task, body=progress)
    record("recording.update_task", task, body=models.UpdateTaskRequest(name="build"))
    cancel = models.CancelTaskRequest(scope=models.TaskScope.TREE, reason="late")
    asked = record("recording.cancel_task", task, body=cancel)
    assert asked.delivered is False, asked
    child = models.SpawnRequest(thread_id=thread, task_type="shell", task_id="other")
    batch = models.BatchRequest(
        schema="taskledger.batch/v1",
        commands=[
            models.ItemRequest(command=models.CommandRequestType0(spawn=child)),
            models.ItemRequest(
                command=models.CommandRequestType3(
                    emit=models.EmitRequest(
                        task_id=models.TaskRequestType1(spawned=0),
                        event_type="progress",
                        content=[1],
                    )
                )
            ),
        ],
    )
    receipts = record("recording.append_batch", body=batch).receipts
    assert [receipt.task_id for receipt in receipts] == ["other", "other"], receipts
    failed = models.EndTaskRequest(status=models.EndStatus.FAILED, error="2 of 31 tests failed")
    record("recording.end_task", task, body=failed)
    questions(thread, task, first.seq)
    refusals(task)
    redaction = models.RedactEventRequest(
        seq=emitted.seq, parts=[models.PartWord.CONTENT], reason="secret"
    )
    record("recording.redact_event", body=redaction, client=ADMIN)
    replication()

    every = set()
    for group in pkgutil.iter_modules(taskledger_client.api.__path__):
        package = importlib.import_module(f"taskledger_client.api.{group.name}")
        every |= {f"{group.name}.{one.name}" for one in pkgutil.iter_modules(package.__path__)}
    assert CALLED == every, f"not called: {every - CALLED}"
    print(f"called {len(CALLED)} operations")


main()
