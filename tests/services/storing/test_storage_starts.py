"""Processes that start on one directory at the same time."""

import os

from dulcet.services.storing.file_system import FileSystem


class Beaten(FileSystem):
    """Another process makes each directory just before us; our own in `.incoming` has a name that nobody else has."""

    def mkdir(self, path, mode, *, dir_fd=None):
        if dir_fd is None or path == ".incoming":
            os.mkdir(path, mode, dir_fd=dir_fd)
        os.mkdir(path, mode, dir_fd=dir_fd)


async def test_a_directory_that_another_process_makes_is_as_good(tmp_path, open_storage, receive, make_object):
    directory = tmp_path / "new" / "stored"
    storage = open_storage(Beaten(), directory=directory)
    stored = await receive(storage, make_object())
    assert stored.path.is_relative_to(directory)
