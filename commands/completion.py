"""TAB completion: words that are names of nodes, and `dulcet completion`.

Only the node book is read; the shell asks at every TAB.
"""

from collections.abc import Iterable, Iterator

import click
from click.shell_completion import CompletionItem, get_completion_class

from dulcet.commands.options import split_peers
from dulcet.station.book.configuration import node_book_path
from dulcet.station.book.node_book import names, tags

COMPLETION_VARIABLE = "_DULCET_COMPLETE"


class NodeName(click.types.StringParamType):
    """The name of a node."""

    name = "name"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The names that begin so; those that stand there already are left out."""
        taken = ctx.params.get(param.name or "") or ()
        return list(_nodes(incomplete, (taken,) if isinstance(taken, str) else taken))


class PeerWord(NodeName):
    """The name of a node, or an address, which nobody can complete."""

    name = "peer"


class PeerThenFiles(NodeName):
    """A peer first, then files."""

    name = "peer"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Names for the first word, afterwards what the shell does with files."""
        if ctx.params.get(param.name or ""):
            return [CompletionItem(incomplete, type="file")]
        return list(_nodes(incomplete, ()))


class PeerThenLevel(NodeName):
    """A peer first, then what is looked for there."""

    name = "peer"

    def __init__(self, levels: Iterable[str]) -> None:
        self.levels = tuple(levels)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Names for the first word, the levels for the second; HOST PORT are one."""
        before = split_peers(ctx.params.get(param.name or "") or ())
        if not before:
            return list(_nodes(incomplete, ()))
        return [CompletionItem(level) for level in self.levels if level.startswith(incomplete) and len(before) == 1]


class Tag(click.types.StringParamType):
    """A tag of a node."""

    name = "tag"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The tags in use."""
        return [CompletionItem(tag) for tag in tags(node_book_path()) if tag.startswith(incomplete)]


NODE_NAME, PEER, PEER_THEN_FILES, TAG = NodeName(), PeerWord(), PeerThenFiles(), Tag()


def _nodes(incomplete: str, taken: tuple[str, ...]) -> Iterator[CompletionItem]:
    for name, address in names(node_book_path()):
        if name.startswith(incomplete) and name not in taken:
            yield CompletionItem(name, help=address)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> int:
    """Print what makes SHELL complete commands, options and the names of nodes at a TAB.

    bash: put  source <(dulcet completion bash)  into ~/.bashrc; zsh: the same with zsh into ~/.zshrc; fish:
    dulcet completion fish > ~/.config/fish/completions/dulcet.fish
    """
    root = ctx.find_root()
    completer = get_completion_class(shell)
    assert completer is not None
    click.echo(completer(root.command, {}, "dulcet", COMPLETION_VARIABLE).source())
    return 0
