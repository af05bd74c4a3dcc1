"""Where objects go that come here, and what is promised for them: of every command that receives."""

from pathlib import Path

import click

from dulcet.commands.options import FILE
from dulcet.services.storage import Durability, OnConflict

STORAGE_OPTIONS = (
    click.option(
        "--directory", type=FILE, default=Path("received"), show_default=True, metavar="DIR", help="Where objects go."
    ),
    click.option(
        "--durability",
        type=click.Choice([choice.value for choice in Durability]),
        default=Durability.FSYNC.value,
        show_default=True,
        help="What stored (0000H) means: on the disk, on the disk with others in one go, or in the system's memory.",
    ),
    click.option(
        "--on-conflict",
        type=click.Choice([choice.value for choice in OnConflict]),
        default=OnConflict.KEEP_BOTH.value,
        show_default=True,
        help="The same SOP Instance UID with other contents.",
    ),
)
"""--directory, --durability, --on-conflict."""
