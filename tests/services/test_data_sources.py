"""A data set as it lies in a file: every octet once, in pieces of whole fragments, read when it is wanted."""

import os

import pytest

from dulcet.errors import SourceError
from dulcet.services.data_sets import FileSource


@pytest.fixture
def opened(tmp_path):
    descriptors = []

    def write(octets):
        path = tmp_path / f"{len(descriptors)}"
        path.write_bytes(octets)
        descriptors.append(os.open(path, os.O_RDONLY))
        return descriptors[-1]

    yield write
    for descriptor in descriptors:
        os.close(descriptor)


def everything(source, fragment_octets):
    return [(bytes(view), is_last) for view, is_last in source.chunks(fragment_octets)]


@pytest.mark.parametrize("size", [0, 2, 63, 64, 65, 127, 128, 129, 130, 1000, 1001])
@pytest.mark.parametrize("preload", [True, False])
def test_every_octet_once_and_an_odd_end_is_padded(opened, size, preload):
    octets = os.urandom(size)
    source = FileSource(opened(b"head" + octets + b"tail"), 4, size, memoryview(bytearray(64)))
    if preload:
        source.preload(16)
    pieces = everything(source, 16)
    assert b"".join(piece for piece, _ in pieces) == octets + b"\0" * (size % 2)
    assert [is_last for _, is_last in pieces] == [False] * (len(pieces) - 1) + [True]
    assert all(len(piece) == 64 for piece, _ in pieces[:-1])


def test_pieces_are_views_of_the_one_buffer(opened):
    buffer = bytearray(64)
    source = FileSource(opened(bytes(200)), 0, 200, memoryview(buffer))
    assert all(view.obj is buffer for view, _ in source.chunks(16))


def test_a_buffer_that_is_no_multiple_of_the_fragment_is_used_in_multiples(opened):
    source = FileSource(opened(bytes(100)), 0, 100, memoryview(bytearray(50)))
    assert [len(piece) for piece, _ in everything(source, 20)] == [40, 40, 20]


def test_progress_is_told_as_the_pieces_go_out(opened):
    told = []
    source = FileSource(opened(bytes(100)), 0, 100, memoryview(bytearray(64)), told.append)
    source.preload(16)
    assert told == []
    everything(source, 16)
    assert told == [64, 36]


def test_a_file_that_ends_early_is_said(opened):
    source = FileSource(opened(bytes(100)), 0, 300, memoryview(bytearray(64)))
    with pytest.raises(SourceError, match="it ended 200 octets early"):
        everything(source, 16)


def test_a_descriptor_that_is_gone_is_said(tmp_path):
    source = FileSource(-1, 0, 10, memoryview(bytearray(64)))
    with pytest.raises(SourceError, match="it can't be read"):
        everything(source, 16)
