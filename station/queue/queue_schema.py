"""The tables of the queue's file, and how a row becomes a value.

Names of files are octets (BLOB), for a file system's names need not be UTF-8. A job that is being added, or removed,
has a state of its own that no reader is shown. An instance of a job that is over stays `pending` in its row: what that
means, the job's state tells, so that ending a job costs the same whatever its size.
"""

import json
import os
import sqlite3
from collections.abc import Mapping
from typing import Any

from dulcet.station.queue.jobs import (
    DUE,
    OVER,
    Counts,
    InstanceState,
    Job,
    JobInstance,
    JobKind,
    JobState,
    NewInstance,
    Order,
    Progress,
    Wish,
)

ADDING, REMOVING = "adding", "removing"
"""States of a job that nobody sees: it is not whole yet, or not any more."""
VISIBLE = tuple(state.value for state in JobState)
OVER_VALUES = tuple(state.value for state in OVER)
DUE_VALUES = tuple(state.value for state in DUE)

_JOB = """
CREATE TABLE job (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    peer TEXT NOT NULL,
    options TEXT NOT NULL,
    priority INTEGER NOT NULL,
    hours TEXT NOT NULL,
    octets_per_second INTEGER,
    origin TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at REAL NOT NULL,
    not_before REAL NOT NULL DEFAULT 0,
    started_at REAL,
    ended_at REAL,
    attempts INTEGER NOT NULL DEFAULT 0,
    failing_since REAL,
    reason TEXT NOT NULL DEFAULT '',
    exit_code INTEGER,
    worker TEXT,
    lease_until REAL,
    wish TEXT,
    instances INTEGER NOT NULL DEFAULT 0,
    done INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0,
    octets INTEGER NOT NULL DEFAULT 0,
    octets_done INTEGER NOT NULL DEFAULT 0,
    progress TEXT NOT NULL DEFAULT '{}'
) STRICT
"""
_INSTANCE = """
CREATE TABLE instance (
    id INTEGER PRIMARY KEY,
    job INTEGER NOT NULL,
    state TEXT NOT NULL,
    name BLOB,
    path BLOB,
    source TEXT,
    sop_class_uid TEXT NOT NULL,
    sop_instance_uid TEXT NOT NULL,
    transfer_syntax_uid TEXT NOT NULL,
    data_set_offset INTEGER NOT NULL,
    file_size INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    failing_since REAL,
    not_before REAL NOT NULL DEFAULT 0,
    status INTEGER,
    reason TEXT NOT NULL DEFAULT '',
    exit_code INTEGER NOT NULL DEFAULT 0,
    ended_at REAL
) STRICT
"""
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        _JOB,
        "CREATE INDEX job_to_take ON job (state, priority DESC, id)",
        "CREATE INDEX job_of_state ON job (state, id)",
        _INSTANCE,
        "CREATE INDEX instance_of_job ON instance (job)",
        "CREATE INDEX instance_pending ON instance (job, id, not_before) WHERE state = 'pending'",
        "CREATE INDEX instance_failed ON instance (job) WHERE state = 'failed'",
        "CREATE INDEX instance_path ON instance (path) WHERE state = 'pending' AND path IS NOT NULL",
        "CREATE TABLE event (id INTEGER PRIMARY KEY AUTOINCREMENT, job INTEGER NOT NULL, line TEXT NOT NULL) STRICT",
        "CREATE INDEX event_of_job ON event (job)",
        "CREATE TABLE setting (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT",
    ),
)
"""What brings a file from one version (PRAGMA user_version) to the next."""

JOB_COLUMNS = (
    "id, kind, peer, options, priority, hours, octets_per_second, origin, state, created_at, not_before, started_at,"
    " ended_at, attempts, failing_since, reason, exit_code, worker, lease_until, wish, instances, done, failed,"
    " cancelled, octets, octets_done, progress"
)
INSTANCE_COLUMNS = (
    "id, job, state, name, path, source, sop_class_uid, sop_instance_uid, transfer_syntax_uid, data_set_offset,"
    " file_size, attempts, failing_since, not_before, status, reason, exit_code, ended_at"
)
INSERT_INSTANCE = (
    "INSERT INTO instance (job, state, name, path, source, sop_class_uid, sop_instance_uid, transfer_syntax_uid,"
    " data_set_offset, file_size) VALUES (?, 'pending', ?, ?, ?, ?, ?, ?, ?, ?)"
)


def job_of(row: sqlite3.Row) -> Job:
    """The job of a row with JOB_COLUMNS."""
    return Job(
        id=row["id"],
        order=Order(
            kind=JobKind(row["kind"]),
            peer=row["peer"],
            options=json.loads(row["options"]),
            priority=row["priority"],
            hours=row["hours"],
            octets_per_second=row["octets_per_second"],
            origin=row["origin"],
        ),
        state=JobState(row["state"]),
        created_at=row["created_at"],
        not_before=row["not_before"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        attempts=row["attempts"],
        failing_since=row["failing_since"],
        reason=row["reason"],
        exit_code=row["exit_code"],
        worker=row["worker"],
        lease_until=row["lease_until"],
        wish=None if row["wish"] is None else Wish(row["wish"]),
        counts=Counts(
            instances=row["instances"],
            done=row["done"],
            failed=row["failed"],
            cancelled=row["cancelled"],
            octets=row["octets"],
            octets_done=row["octets_done"],
        ),
        progress=Progress(**json.loads(row["progress"])),
    )


def instance_of(row: tuple[Any, ...], left: InstanceState, reason: str) -> JobInstance:
    """The instance of a row with INSTANCE_COLUMNS; `left` is what pending means in its job, and `reason` why."""
    state = InstanceState(row[2])
    is_left = state is InstanceState.PENDING and left is not state
    path = "" if row[4] is None else os.fsdecode(row[4])
    return JobInstance(
        id=row[0],
        job=row[1],
        state=left if is_left else state,
        name=path if row[3] is None else os.fsdecode(row[3]),
        path=path,
        source={} if row[5] is None else json.loads(row[5]),
        sop_class_uid=row[6],
        sop_instance_uid=row[7],
        transfer_syntax_uid=row[8],
        data_set_offset=row[9],
        file_size=row[10],
        attempts=row[11],
        failing_since=row[12],
        not_before=row[13],
        status=row[14],
        reason=row[15] or (reason if is_left else ""),
        exit_code=row[16],
        ended_at=row[17],
    )


def meaning_of_pending(state: str) -> InstanceState:
    """What an instance that is pending in its row is, when its job is in `state`."""
    if state == JobState.CANCELLED.value:
        return InstanceState.CANCELLED
    return InstanceState.FAILED if state in OVER_VALUES else InstanceState.PENDING


def values_of(job: int, instance: NewInstance) -> tuple[Any, ...]:
    """For INSERT_INSTANCE. What is said twice is kept once."""
    return (
        job,
        None if instance.name == instance.path else os.fsencode(instance.name),
        os.fsencode(instance.path) if instance.path else None,
        to_json(instance.source) if instance.source else None,
        instance.sop_class_uid,
        instance.sop_instance_uid,
        instance.transfer_syntax_uid,
        instance.data_set_offset,
        instance.file_size,
    )


def to_json(values: Mapping[str, Any]) -> str:
    """ASCII, so that a name that is not UTF-8 is kept too."""
    return json.dumps(dict(values), ensure_ascii=True, separators=(",", ":"))
