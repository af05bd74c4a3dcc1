"""What systemd is told of a service: sd_notify(3), without its library. Where nobody listens, nothing is said."""

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

import trio

READY, STOPPING = "READY=1", "STOPPING=1"


def notify(text: str, environment: Mapping[str, str] = os.environ) -> None:
    """Send `text` to NOTIFY_SOCKET, if there is one that takes it."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.sendto(text.encode(), f"\0{address[1:]}" if address[0] == "@" else address)


def reloading() -> str:
    """What says that the settings are being read again; `READY` follows."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"


async def keep_watchdog(environment: Mapping[str, str] = os.environ) -> None:
    """Tell twice in WATCHDOG_USEC that the loop goes round, until cancelled; returns where nobody asked for it."""
    text = environment.get("WATCHDOG_USEC", "")
    if not text.isdigit() or not int(text):
        return
    while True:
        notify("WATCHDOG=1", environment)
        await trio.sleep(int(text) / 2_000_000)
