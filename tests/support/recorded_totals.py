"""Totals that are kept when a run is killed: each process writes its own file, and those of all runs are added up."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from bench.report import FOLDER

T = TypeVar("T", bound="RecordedTotals")

_RUN = f"{time.time_ns()}-{os.getpid()}"


@dataclass
class RecordedTotals:
    """Counters and numbers that are added up; of a float the largest counts.

    name: of the folder in build/bench, which a new series of runs begins by removing.
    """

    name: ClassVar[str]

    def record(self) -> None:
        """Write what this process has counted so far."""
        folder = FOLDER / self.name
        folder.mkdir(parents=True, exist_ok=True)
        new = folder / f".{_RUN}"
        new.write_text(json.dumps(vars(self)))
        new.replace(folder / f"{_RUN}.json")

    @classmethod
    def of_all_runs(cls: type[T]) -> T:
        """What all recorded runs have counted."""
        result = cls()
        for file in sorted((FOLDER / cls.name).glob("*.json")):
            for field, value in json.loads(file.read_text()).items():
                before = getattr(result, field)
                setattr(result, field, max(before, value) if isinstance(value, float) else before + _number(value))
        return result


def _number(value: dict[str, int] | int) -> Counter[str] | int:
    return Counter(value) if isinstance(value, dict) else value
