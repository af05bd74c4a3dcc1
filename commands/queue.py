"""`dulcet queue`: what is being transferred, and what is to be. Each kind of command is a module beside this one."""

import click

from dulcet.commands.queue_change import cancel, change, clear, pause, resume, retry
from dulcet.commands.queue_list import list_jobs
from dulcet.commands.queue_log import log
from dulcet.commands.queue_run import run
from dulcet.commands.queue_show import show
from dulcet.commands.queue_wait import wait


@click.group()
def queue() -> None:
    """The transfer queue: jobs that send and retrieve in the background.

    `dulcet send --queue` and `dulcet retrieve --queue` put jobs into it; `dulcet serve` runs them, or `dulcet queue
    run`. JOB is a number, a range like 3-7, or all.
    """


for _command in (list_jobs, show, log, wait, cancel, retry, pause, resume, change, clear, run):
    queue.add_command(_command)
