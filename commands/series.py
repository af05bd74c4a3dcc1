"""`dulcet series`: what arrived, by study and series. Each command of the group is a module beside this one."""

import click

from dulcet.commands.series_export import export, open_series
from dulcet.commands.series_list import list_series, show
from dulcet.commands.series_preview import preview
from dulcet.commands.series_remove import prune, remove
from dulcet.commands.series_verify import verify


@click.group()
def series() -> None:
    """What arrived, by study and series: list, show, open, export, verify, remove.

    Of the storage directory that `dulcet serve` and `dulcet retrieve` fill.
    """


for _command in (list_series, show, preview, open_series, export, verify, remove, prune):
    series.add_command(_command)
