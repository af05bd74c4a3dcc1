"""`dulcet series`: what arrived, by study and series. Each command of the group is a module beside this one."""

import click

from dulcet.commands.series_preview import preview


@click.group()
def series() -> None:
    """What arrived, by study and series: list, show, open, export, verify, remove.

    Of the storage directory that `dulcet serve` and `dulcet retrieve` fill.
    """


for _command in (preview,):
    series.add_command(_command)
