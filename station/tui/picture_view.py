"""Where the picture of a series is shown, and what is known of it below."""

from rich.segment import Segment
from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.events import Resize
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Static

from dulcet.station.preview.picture import Picture, Problem
from dulcet.station.tui.half_blocks import fitted, scaled, strips
from dulcet.station.tui.pane import beside


class HalfBlocks(Widget):
    """One picture, as large as there is room for it; drawn line by line from what was made beside."""

    DEFAULT_CSS = "HalfBlocks { height: 1fr; min-height: 3; }"

    def __init__(self) -> None:
        super().__init__(id="half-blocks")
        self._picture: Picture | None = None
        self._drawn: list[Strip] = []

    def put(self, picture: Picture | None) -> None:
        """Show this one; None: nothing."""
        self._picture = picture
        if picture is None:
            self._drawn = []
            self.refresh()
        elif self.is_attached:  # or else there is no room yet: `on_resize` comes when there is
            self._scale(picture, self.size)

    def on_resize(self, event: Resize) -> None:
        """There is more room, or less."""
        if self._picture is not None:
            self._scale(self._picture, event.size)

    @work(group="scale", exclusive=True)
    async def _scale(self, picture: Picture, room: Size) -> None:
        width, height = fitted(picture.width, picture.height, room.width, room.height)
        drawn, _ = await beside(lambda: strips(scaled(picture, width, height)))
        self._drawn = drawn or []
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line of it, in the middle."""
        width = self.size.width
        if y >= len(self._drawn):
            return Strip.blank(width, self.rich_style)
        strip = self._drawn[y]
        left = max(width - strip.cell_length, 0) // 2
        padding = Segment(" " * left, self.rich_style)
        return Strip([padding, *strip]).adjust_cell_length(width, self.rich_style)


class PictureView(Vertical):
    """The picture and its caption."""

    DEFAULT_CSS = """
    PictureView { padding: 0 1; }
    PictureView #caption { height: auto; max-height: 50%; color: $text-muted; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._blocks = HalfBlocks()
        self._caption = Static("", id="caption", markup=False)

    def compose(self) -> ComposeResult:
        """One above the other."""
        yield self._blocks
        yield self._caption

    def say(self, text: str) -> None:
        """Only words."""
        self._blocks.put(None)
        self._caption.update(Text(text))

    def show(self, found: Picture | Problem, text: str) -> None:
        """A picture, or why there is none; `text` below it."""
        if isinstance(found, Problem):
            self.say(f"{text}\n{found.reason}")
            return
        self._blocks.put(found)
        frames = f", frame {found.frame} of {found.frames}" if found.frames > 1 else ""
        window = f", window {found.window}" if found.window is not None else ""
        details = f"{found.columns} x {found.rows}{frames}{window}. Not for diagnosis."
        self._caption.update(Text(f"{text}\n{details}"))
