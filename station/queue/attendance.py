"""Whether anything runs the queue's jobs just now: a server, or a worker started by hand."""

NOBODY = "nothing runs the queue now: `dulcet queue run` does, and so does `dulcet serve`"


def who_runs() -> str:
    """A sentence that says which process runs jobs; "" when none does."""
    from dulcet.station.monitor.process_file import read_processes  # what only lists jobs does not need it

    processes = [each for each in read_processes() if each.runs_queue]
    for command, what in (("queue run", "a worker"), ("serve", "the server")):
        found = next((each for each in processes if each.command == command), None)
        if found is not None:
            return f"{what} (process {found.pid}) runs it"
    return ""
