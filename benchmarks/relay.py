"""A slow line: `python -m benchmarks.relay PORT TARGET_PORT MILLISECONDS` delays each direction by so much.

The octets are not made fewer: the line is long, not narrow. Setting a connection up is not delayed.
"""

import asyncio
import sys

CHUNK_OCTETS = 256 * 1024
CHUNKS_UNDER_WAY = 1_024  # what is on the line; more stops the reader, as a full window would


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Carry one direction, to its end."""
    clock = asyncio.get_running_loop().time
    line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_UNDER_WAY)

    async def deliver() -> None:
        while True:
            due, octets = await line.get()
            await asyncio.sleep(due - clock())
            if not octets:
                writer.close()
                return
            writer.write(octets)
            await writer.drain()

    delivery = asyncio.create_task(deliver())
    try:
        while octets := await reader.read(CHUNK_OCTETS):
            await line.put((clock() + seconds, octets))
    except ConnectionError:
        octets = b""
    await line.put((clock() + seconds, b""))
    await delivery


async def serve(port: int, target_port: int, seconds: float) -> None:
    """Accept for ever."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target_reader, target_writer = await asyncio.open_connection("127.0.0.1", target_port)
        await asyncio.gather(
            pump(reader, target_writer, seconds), pump(target_reader, writer, seconds), return_exceptions=True
        )

    server = await asyncio.start_server(connected, "127.0.0.1", port, backlog=512)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Read the command line."""
    port, target_port, milliseconds = sys.argv[1:]
    asyncio.run(serve(int(port), int(target_port), float(milliseconds) / 1e3))


if __name__ == "__main__":
    main()
