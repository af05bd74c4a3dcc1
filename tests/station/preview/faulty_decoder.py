"""The decoder of pictures, with faults: run by tests in its place. What it does stands in the name of the image."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from dulcet.station.preview.decoder import main
from dulcet.station.preview.picture import Image, Picture, PreviewOptions
from dulcet.station.preview.wire import READY


def render(image: Image, options: PreviewOptions) -> Picture:
    FAULTS[Path(image.path).name]()
    return Picture(image=image, frame=1, frames=1, width=1, height=1, channels=1, pixels=b"\x80", rows=1, columns=1)


def crash() -> None:
    ctypes.string_at(0)


def work_for_ever() -> None:
    while True:
        pass


def take_memory() -> None:
    taken = []
    while True:
        taken.append(bytearray(1 << 20))


def write_a_file() -> None:
    target = Path(os.environ["HOME"]) / "written"
    with target.open("wb", buffering=0) as file:
        file.write(b"secret")


def call_home() -> None:
    socket.create_connection(("127.0.0.1", 9), timeout=1)


def start_a_program() -> None:
    subprocess.run(["true"], check=True)


FAULTS = {
    "good": lambda: None,
    "crash": crash,
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: os._exit(7),
    "sleep": lambda: time.sleep(3600),
    "work": work_for_ever,
    "memory": take_memory,
    "print": lambda: print("Warning: this image is not to my taste", flush=True),
    "write": write_a_file,
    "network": call_home,
    "program": start_a_program,
    "environment": lambda: (_ for _ in ()).throw(ValueError(" ".join(sorted(os.environ)))),
}


def answer_raw(octets: bytes) -> None:
    """Greet, and answer the first request with these octets."""
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    sys.stdin.buffer.readline()
    sys.stdout.buffer.write(octets)
    sys.stdout.buffer.flush()
    sys.stdin.buffer.readline()


if __name__ == "__main__":
    if sys.argv[1] == "raw":
        answer_raw(bytes.fromhex(sys.argv[2]))
    elif sys.argv[1] == "no-greeting":
        print("Fatal: no module named anything")
    else:
        main(lambda: render)
