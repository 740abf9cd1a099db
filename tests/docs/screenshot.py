"""The picture of `valkeykit stats` in docs/, from the command itself: `python -m tests.docs.screenshot` updates it."""

from __future__ import annotations

import html
import io
import re

from rich.console import Console
from valkeykit.settings import resolve_settings
from valkeykit_ops.commands import stats
from valkeykit_ops.stats.reading import Figures
from valkeykit_ops.stats.slow_log import SlowEntry
from valkeykit_ops.stats.watch import Watch

from stackctl.stack import PROJECT

FILE = PROJECT / "docs" / "assets" / "stats.svg"
WIDTH = 88

PRIMARY = Figures(
    node="10.0.0.1:6379", role="primary", version="9.1.2", operations=18_412, hit_rate=0.973, evicted=0, expired=41,
    cpu=0.31, memory=201_326_592, maxmemory=268_435_456, fragmentation=1.08, keys=412_905, clients=37, blocked=10,
    lag=0, slow=1, ping_ms=0.21, window=1, minute=17_960, minute_window=60,
    slow_log=[SlowEntry(1_800_000_000, 0.0314, "report-7", "KEYS, 1 argument")],
    big=[("session:index", 1_258_291)], hot=[("price:5", 204)],
)  # fmt: skip
REPLICA = Figures(
    node="10.0.0.2:6379", role="replica", version="9.1.2", operations=2_105, hit_rate=None, evicted=0, expired=0,
    cpu=0.06, memory=201_293_824, maxmemory=268_435_456, fragmentation=1.07, keys=412_905, clients=5, blocked=0,
    lag=1, slow=0, ping_ms=0.24, window=1, minute=2_088, minute_window=60,
)  # fmt: skip


def picture() -> str:
    """An SVG without the fonts that rich loads from another site."""
    console = Console(width=WIDTH, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(stats._page([PRIMARY, REPLICA], Watch(resolve_settings("redis://10.0.0.1")), WIDTH))
    svg = console.export_svg(title="valkeykit stats", unique_id="stats")
    return re.sub(r"\s*@font-face \{[^}]*\}", "", svg)


def text_of(svg: str) -> list[str]:
    """The text of the picture, without its layout."""
    return [html.unescape(text).replace("\xa0", " ").strip() for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]


if __name__ == "__main__":
    FILE.write_text(picture())
