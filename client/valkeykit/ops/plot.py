"""Plots as files (extra `plot`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from valkeykit.errors import ConfigurationError

KINDS = (".svg", ".png")


@dataclass(frozen=True)
class Panel:
    """One plot of several. lines: points by name."""

    title: str
    x: str
    y: str
    lines: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    is_log: bool = False


def check(path: Path) -> None:
    """Whether a plot could be written there, before anything is measured for it.

    Raises:
        ConfigurationError: matplotlib is absent, the file's ending is none of KINDS, or its folder isn't there.
    """
    if path.suffix not in KINDS:
        raise ConfigurationError(f"--plot {path}: the name must end in {' or '.join(KINDS)}", fix="--plot plot.svg")
    if not path.parent.is_dir():
        raise ConfigurationError(f"--plot {path}: {path.parent} is no folder", fix=f"mkdir -p {path.parent}")
    try:
        import matplotlib  # noqa: F401  (only whether it is there)
    except ImportError:
        raise ConfigurationError("plots need matplotlib", fix="pip install 'valkeykit[plot]'") from None


def write(path: Path, title: str, panels: Sequence[Panel]) -> None:
    """The panels, one below the other.

    Raises:
        ConfigurationError: as check, or the file can't be written.
    """
    check(path)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.6 * len(panels)), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    for axes, panel in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True):
        for name, points in panel.lines.items():
            axes.plot([x for x, _ in points], [y for _, y in points], marker=".", label=name)
        axes.set_title(panel.title, loc="left", fontsize="medium")
        axes.set_xlabel(panel.x)
        axes.set_ylabel(panel.y)
        if panel.is_log:
            axes.set_xscale("log")
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.grid(visible=True, alpha=0.3)
        if panel.lines:
            axes.legend(fontsize="small")
    try:
        figure.savefig(path)
    except OSError as problem:
        raise ConfigurationError(f"--plot {path}: {problem.strerror}", fix="--plot plot.svg") from None
