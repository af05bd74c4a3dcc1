"""A file to send as a row of the queue, and back: the one place that knows how each kind is opened again."""

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from dulcet.services.part10 import Part10Header
from dulcet.station.queue.jobs import JobInstance, NewInstance
from dulcet.station.sending.found import FileToSend


def keeper() -> Callable[[FileToSend], NewInstance]:
    """A function that makes rows; it remembers where folders really are, for one order."""
    folders: dict[str, str] = {}

    def real_path(path: str) -> str:
        folder, name = os.path.split(path)
        if folder not in folders:
            folders[folder] = os.path.realpath(folder)
        found = os.path.join(folders[folder], name)
        return os.path.realpath(found) if os.path.islink(found) else found

    def keep(file: FileToSend) -> NewInstance:
        """The name has to be absolute."""
        path, source = _place_of(file)
        header = file.header
        return NewInstance(
            name=file.name,
            path=real_path(path),
            source=source,
            sop_class_uid=header.sop_class_uid,
            sop_instance_uid=header.sop_instance_uid,
            transfer_syntax_uid=header.transfer_syntax_uid,
            data_set_offset=header.data_set_offset,
            file_size=header.file_size,
        )

    return keep


def file_of(instance: JobInstance) -> FileToSend:
    """The file of a row that `keeper` made. It is opened by the name that it had then."""
    header = Part10Header(
        sop_class_uid=instance.sop_class_uid,
        sop_instance_uid=instance.sop_instance_uid,
        transfer_syntax_uid=instance.transfer_syntax_uid,
        data_set_offset=instance.data_set_offset,
        file_size=instance.file_size,
    )
    source = instance.source
    if "archive" in source:
        from dulcet.station.sending.archives import FileInArchive, Place  # loads what most files don't need

        return FileInArchive(name=instance.name, header=header, place=Place(**source["archive"]))
    return FileToSend(name=instance.name, header=header, modified=source.get("modified"))


def _place_of(file: FileToSend) -> tuple[str, Mapping[str, Any]]:
    """The file on the disk, and how to open what is in it."""
    if type(file) is FileToSend:
        return file.name, {} if file.modified is None else {"modified": file.modified}
    from dulcet.station.sending.archives import FileInArchive

    assert isinstance(file, FileInArchive)
    return file.place.archive, {"archive": asdict(file.place)}
