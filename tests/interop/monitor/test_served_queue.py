"""The queue's process beside a real server: there when there is a queue, one for all workers, gone with the server."""

import os
import signal

import pytest

from dulcet.station.monitor.process_file import read_processes


def children(server):
    """The processes that run the queue's jobs."""
    return [report for report in read_processes(server.state / "processes") if report.command == "queue run"]


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def make_a_queue(server):
    server.state.mkdir(exist_ok=True)
    (server.state / "queue.sqlite").touch()


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one process", "two workers"])
def test_it_comes_with_the_queue_is_one_and_goes_with_the_server(options, served, wait_until):
    with served("--json", *options) as server:
        assert children(server) == []
        make_a_queue(server)
        (child,) = wait_until(lambda: children(server))
        (started,) = wait_until(lambda: server.events("queue.started"))
        assert started["pid"] == child.pid
        assert f"queue run {child.pid}" in server.run("status").stdout
        os.kill(server.running.pid, signal.SIGTERM)
        wait_until(lambda: is_gone(child.pid))
        assert server.events("queue.ended") == []


def test_one_that_is_killed_is_started_again(served, wait_until):
    with served("--json") as server:
        make_a_queue(server)
        (first,) = wait_until(lambda: children(server))
        os.kill(first.pid, signal.SIGKILL)
        (ended,) = wait_until(lambda: server.events("queue.ended"))
        assert (ended["how"], ended["again_in"]) == ("signal 9", 1.0)
        (second,) = wait_until(lambda: [each for each in children(server) if each.pid != first.pid])
        wait_until(lambda: len(server.events("queue.started")) == 2)
        errors = wait_until(lambda: [error.event for report in server.processes() for error in report.errors])
        assert errors == ["queue.ended"]
        os.kill(server.running.pid, signal.SIGKILL)  # no farewell: the pipe ends
        wait_until(lambda: is_gone(second.pid))


def test_not_when_it_is_not_wanted(served, wait_until):
    with served("--json", "--no-queue") as server:
        make_a_queue(server)
        before = server.processes()[0].updated_at
        wait_until(lambda: server.processes()[0].updated_at > before)  # a second, in which others would have looked
        assert server.events("queue.started") == []
        assert children(server) == []


def test_the_queue_is_in_the_numbers(served, wait_until, prometheus):
    with served("--no-queue") as server:
        assert "dulcet_queue_jobs" not in prometheus.parse(server.get("/metrics")[1])
        make_a_queue(server)
        found = prometheus.parse(server.get("/metrics")[1])
        assert prometheus.value(found, "dulcet_queue_oldest_age_seconds") == 0
        assert prometheus.value(found, "dulcet_queue_held") == 0
        assert prometheus.value(found, "dulcet_queue_retries_total") == 0
