"""What strace wrote down, and the order that it has to show for an object that was acknowledged."""

import hashlib
import os
import re
import shutil
from dataclasses import dataclass

import pytest

TRACED = "write,writev,sendmsg,sendto,fsync,fdatasync,syncfs,link,linkat,rename,renameat,renameat2,unlinkat"


def find_strace():
    """Where strace is; without it the test is skipped, or fails where peers are required."""
    strace = shutil.which("strace")
    if strace is None:
        sentence = "strace is missing: apt-get install strace"
        if os.environ.get("DULCET_REQUIRE_PEERS") == "1":
            pytest.fail(f"{sentence} (DULCET_REQUIRE_PEERS=1)", pytrace=False)
        pytest.skip(sentence)
    return strace


def strace_to(strace, output):
    """The beginning of a command that traces what follows it."""
    return [strace, "-f", "-y", "-s", "400", "-e", f"trace={TRACED}", "-o", str(output)]


@dataclass
class Call:
    """One system call: the lines of the trace in which it began and in which it had returned."""

    name: str
    text: str
    begun: int
    done: int


def parse(trace):
    """The calls of all threads."""
    calls, unfinished = [], {}
    for number, line in enumerate(trace.splitlines()):
        thread, _, text = line.partition(" ")
        text = text.strip()
        if text.endswith("<unfinished ...>"):
            unfinished[thread] = (number, text.removesuffix("<unfinished ...>"))
            continue
        begun = number
        if match := re.match(r"<\.\.\. \w+ resumed>\s*", text):
            begun, start = unfinished.pop(thread)
            text = start + text[match.end() :]
        if match := re.match(r"(\w+)\(", text):
            calls.append(Call(match[1], text, begun, number))
    return calls


def one(calls, name, *parts):
    found = [call for call in calls if call.name == name and all(part in call.text for part in parts)]
    assert found, (name, parts)
    return found[-1]


def shard(uid):
    return hashlib.sha256(uid.encode()).hexdigest()[:2]


def check_order(calls, answer, uid, directory):
    """write < fsync of the file < link < fsync of the directories < the answer; or syncfs for a whole group."""
    before = [call for call in calls if call.done < answer.begun]
    linked = one(before, "linkat", f'"{uid}')
    temporary = re.search(r'linkat\(\d+<([^>]*)>, "(\d+)"', linked.text)
    file = f"<{temporary[1]}/{temporary[2]}>"
    written = one(before, "writev", file)
    everything = [call for call in before if call.name == "syncfs"]
    if any(written.done < call.begun and call.done < linked.begun for call in everything):
        assert any(linked.done < call.begun for call in everything)
    else:
        synced = one(before, "fsync", file)
        assert written.done < synced.begun <= synced.done < linked.begun
        assert linked.done < one(before, "fsync", f"<{directory}/{shard(uid)}>").begun
        assert one(before, "fsync", f"<{directory}>").done < answer.begun
    assert all(call.text.endswith("= 0") for call in before if call.name in ("fsync", "syncfs", "linkat"))
