"""A receiver that throws everything away: `python -m benchmarks.null_receiver PORT`.

Reads the headers of PDUs and PDVs, lets the kernel discard the data set (MSG_TRUNC: it is never copied to this
process) and answers each C-STORE and C-ECHO with success. A thread for each connection.
"""

import socket
import sys
import threading

from benchmarks import wire

DISCARDED_AT_ONCE = bytearray(1 << 20)


def discard(connection: socket.socket, count: int) -> None:
    """Take `count` octets off the stream without copying them."""
    while count:
        taken = connection.recv_into(DISCARDED_AT_ONCE, min(count, len(DISCARDED_AT_ONCE)), socket.MSG_TRUNC)
        if not taken:
            return
        count -= taken


def serve_association(connection: socket.socket) -> None:
    """One association, to its end."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    answer = b""
    while header := wire.read_exactly(connection, 6):
        pdu_type, left = wire.PDU_HEADER.unpack(header)
        if pdu_type == wire.ASSOCIATE_RQ:
            request = wire.read_exactly(connection, left)
            connection.sendall(wire.association_accept(request, wire.read_association(request)))
        elif pdu_type == wire.RELEASE_RQ:
            wire.read_exactly(connection, left)
            connection.sendall(wire.release(wire.RELEASE_RP))
        elif pdu_type == wire.P_DATA_TF:
            answer = read_values(connection, left, answer)
        else:
            return


def read_values(connection: socket.socket, left: int, answer: bytes) -> bytes:
    """The PDVs of one P-DATA-TF. Returns the answer that is due when the data set is complete."""
    while left:
        header = wire.read_exactly(connection, wire.PDV_HEADER_OCTETS)
        if len(header) < wire.PDV_HEADER_OCTETS:
            return answer
        length = int.from_bytes(header[:4], "big") - 2
        context_id, control = header[4], header[5]
        left -= length + wire.PDV_HEADER_OCTETS
        if control == wire.COMMAND_LAST:
            request = wire.read_command_set(wire.read_exactly(connection, length))
            answer = wire.command_pdu(context_id, wire.response(request))
            if request[wire.COMMAND_FIELD] == wire.us(wire.C_ECHO_RQ):
                connection.sendall(answer)
        else:
            discard(connection, length)
            if control == wire.DATA_LAST:
                connection.sendall(answer)
    return answer


def serve_until_it_ends(connection: socket.socket) -> None:
    """A peer that goes away in the middle ends its own thread quietly."""
    with connection:
        try:
            serve_association(connection)
        except ConnectionError:
            return


def main() -> None:
    """Listen on the port that the command line names, for ever."""
    with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=512) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve_until_it_ends, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
