"""Captures: packets -> TCP streams -> PDUs and messages, with the events, actions and states of both machines.

reader.py (pcap.py, pcapng.py)   a capture file -> packets
packets.py (headers.py)          a packet -> the TCP segment in it
tcp.py                           segments -> connections, each direction a `streams.Octets`
tls.py (keylog.py, ciphers.py)   encrypted octets -> octets, with a key log
hextext.py                       hex dumps as people have them -> octets
framing.py                       octets -> whole PDUs, gaps, and what can't be a PDU
messages.py                      P-DATA-TF PDUs -> command sets and data sets
machines.py                      what was seen -> events, actions and states, by PS3.8 Table 9-10
rules.py                         what a layout can't show to be wrong: negotiated limits, message order
transcript.py (build.py)         all of it in frozen dataclasses
sidecar.py                       a transcript as JSON
text.py                          a transcript for people (ladder.py, outcome.py, describe.py, fields.py, hexdump.py)
writer.py                        a conversation as packets, for who has its octets only
"""
