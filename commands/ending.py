"""What ended a command: the one exception that counts at the bottom of the groups that nurseries make of it."""

from collections.abc import Iterator


def reason(error: BaseException) -> BaseException:
    """`error`, or the exception in its groups that tells most: an interruption, or else the first."""
    leaves = list(_leaves(error))
    return next((each for each in leaves if isinstance(each, KeyboardInterrupt)), leaves[0])


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error
