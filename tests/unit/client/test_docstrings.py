"""The public API is documented: each class, function and method has a docstring that describes every parameter."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from types import ModuleType
from typing import Any

from valkeykit.cache import AsyncCache, AsyncLeaderboard, AsyncSessions, Cache, Leaderboard, Sessions
from valkeykit.queue import AsyncQueue, Queue

from stackctl.stack import PROJECT

DOCUMENTED = re.findall(r"^::: (\S+)$", (PROJECT / "docs" / "client" / "api.md").read_text(), re.MULTILINE)

CREATED_BY_WORKERS = {"Job"}
"""Classes whose constructors no application calls."""

TWINS = ((Cache, AsyncCache), (Leaderboard, AsyncLeaderboard), (Sessions, AsyncSessions), (Queue, AsyncQueue))

DIFFERENT = {"get_or_compute"}
"""An AsyncCache also awaits coroutine functions there."""

EXAMPLE = re.compile(r"\n\nExample:\n.*", re.DOTALL)

SECTION = re.compile(r"^(?:Args|Attributes):\n((?: {4}.*\n|\n)+)", re.MULTILINE)
ENTRY = re.compile(r"^ {4}\**(\w+):", re.MULTILINE)


def resolve(name: str) -> Any:
    """A module, or what one exports."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        return getattr(importlib.import_module(module), attribute)


def text_of(documented: Any) -> str:
    return inspect.cleandoc(documented.__doc__ or "")


def described(text: str) -> set[str]:
    """The names in its Args and Attributes."""
    return {name for entries in SECTION.findall(text + "\n") for name in ENTRY.findall(entries)}


def parameters(function: Callable[..., Any]) -> set[str]:
    return set(inspect.signature(function).parameters) - {"self", "cls"}


def members(cls: type) -> Iterator[Any]:
    """Public methods and properties, also those of base classes in valkeykit."""
    for base in cls.__mro__:
        if base.__module__.startswith("valkeykit"):
            yield from (member for name, member in vars(base).items() if not name.startswith("_"))


def problems_of_class(cls: type) -> Iterator[str]:
    if not cls.__doc__ or cls.__doc__.startswith(f"{cls.__name__}("):  # as dataclasses and named tuples write one
        yield f"{cls.__name__} has no docstring"
    for member in members(cls):
        if isinstance(member, property | cached_property):
            name = getattr(member, "attrname", None) or member.fget.__name__  # type: ignore[union-attr]
            if not member.__doc__ and not name.startswith("_"):
                yield f"{cls.__name__}.{name} has no docstring"
        elif isinstance(member, classmethod | staticmethod):
            yield from problems_of_function(member.__func__)
        elif inspect.isfunction(member):
            yield from problems_of_function(member)
    described_names = described(text_of(cls)) | described(text_of(inspect.getattr_static(cls, "__init__")))
    if missing := parameters_of_class(cls) - described_names:
        yield f"{cls.__name__} doesn't describe {', '.join(sorted(missing))}"


def parameters_of_class(cls: type) -> set[str]:
    """Arguments of its constructor; the fields of a mapping or a named tuple."""
    init = inspect.getattr_static(cls, "__init__")
    if cls.__name__ in CREATED_BY_WORKERS or getattr(cls, "_is_protocol", False):
        return set()
    if inspect.isfunction(init) and init.__module__.startswith("valkeykit"):
        return parameters(init)
    return set(vars(cls).get("__annotations__", {}))


def problems_of_function(function: Callable[..., Any]) -> Iterator[str]:
    if not function.__doc__:
        yield f"{function.__qualname__} has no docstring"
    elif missing := parameters(function) - described(text_of(function)):
        yield f"{function.__qualname__} doesn't describe {', '.join(sorted(missing))}"


def problems(documented: Any) -> Iterator[str]:
    if isinstance(documented, ModuleType):
        for name, member in vars(documented).items():
            if not name.startswith("_") and getattr(member, "__module__", "") == documented.__name__:
                yield from problems(member)
    elif inspect.isclass(documented):
        yield from problems_of_class(documented)
    elif inspect.isfunction(documented):
        yield from problems_of_function(documented)


def test_everything_on_the_api_page_is_described() -> None:
    assert len(DOCUMENTED) > 40
    assert sorted({problem for name in DOCUMENTED for problem in problems(resolve(name))}) == []


def test_asyncio_classes_describe_what_their_twins_describe() -> None:
    """In full: an editor shows the docstring of the method itself."""
    twins = [
        (getattr(sync, name), method)
        for sync, other in TWINS
        for name, method in vars(other).items()
        if name in vars(sync)
    ]
    pairs = [(sync, method) for sync, method in twins if inspect.isfunction(method) and sync.__name__ not in DIFFERENT]
    texts = {
        method.__qualname__: (EXAMPLE.sub("", text_of(sync)), text_of(method)) for sync, method in pairs if sync.__doc__
    }
    assert len(texts) > 40
    assert [name for name, (expected, text) in texts.items() if text != expected] == []
