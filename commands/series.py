"""`dulcet series`: what arrived, by study and series. Each command of the group is a module beside this one."""

import click


@click.group()
def series() -> None:
    """What arrived, by study and series: list, show, open, export, verify, remove.

    Of the storage directory that `dulcet serve` and `dulcet retrieve` fill.
    """
