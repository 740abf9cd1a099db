"""References to functions: module and name, which another process resolves."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, NamedTuple

from valkeykit.errors import ConfigurationError, InvalidJobError

SCRIPT = "__mp_main__"
"""`__name__` of the parent's script in a child process, as with multiprocessing: its guard is false there."""

MAX_WRAPPERS = 100

_FIX = "define it with `def` at the top level of a module"

_importing_script = False


class Reference(NamedTuple):
    """Where a function is.

    Attributes:
        script: File of the script that was started, None for a function in any other module.
        wrappers: Number of decorators between the name in the module and the function.
    """

    script: str | None
    module: str
    name: str
    wrappers: int = 0


def check_importable(function: Callable[..., Any]) -> None:
    """Check that another process can import a function.

    While the function's module is still being executed, its name may be unbound or bound to a previous definition.

    Raises:
        InvalidJobError: It can't be imported.
    """
    refer(function)


def check_not_importing() -> None:
    """Check that this is not a child process that imports the parent's script, which would start a second worker.

    Raises:
        ConfigurationError: It is.
    """
    if _importing_script:
        raise ConfigurationError(
            "the script starts a worker whenever it is imported, and child processes import it for its handlers",
            fix='start the worker below `if __name__ == "__main__":`',
        )


def refer(function: Callable[..., Any]) -> Reference:
    """Find the name under which another process can import a function.

    Raises:
        InvalidJobError: There is none.
    """
    name = _qualified_name(function)
    module_name = getattr(function, "__module__", None) or "builtins"
    module = sys.modules.get(module_name)
    if module is None:
        raise _refusal(name, f"its module {module_name!r} is not imported")
    wrappers = _count_wrappers(module, name, function)
    spec = getattr(module, "__spec__", None)
    if module_name not in {"__main__", SCRIPT}:
        if spec is None:
            raise _refusal(name, f"its module {module_name!r} can't be imported")
        return Reference(None, module_name, name, wrappers)
    if spec is not None and spec.name not in {"__main__", SCRIPT}:  # python -m
        return Reference(None, spec.name, name, wrappers)
    script = getattr(module, "__file__", None)
    if script is None or not Path(script).is_file():
        raise _refusal(name, "it is defined in an interactive session", fix="define it in a module and import it")
    return Reference(str(Path(script).resolve()), "__main__", name, wrappers)


def resolve(reference: Reference) -> Any:
    """Import what `refer` described.

    Raises:
        InvalidJobError: The module has no such name.
        Exception: What the module raises when it is imported.
    """
    value: Any = _import_script(reference.script) if reference.script else importlib.import_module(reference.module)
    try:
        for part in reference.name.split("."):
            value = getattr(value, part)
        for _ in range(reference.wrappers):
            value = value.__wrapped__
    except AttributeError as problem:
        raise _refusal(reference.name, str(problem)) from None
    return value


def _qualified_name(function: Callable[..., Any]) -> str:
    name = getattr(function, "__qualname__", None)
    if not isinstance(name, str):
        raise _refusal(repr(function)[:200], f"it is a {type(function).__name__} object, not a function")
    if name.rpartition(".")[2] == "<lambda>":
        raise _refusal(name, "it is a lambda")
    if "<locals>" in name:
        raise _refusal(name, "it is defined in another function", fix=f"{_FIX}; a decorator needs functools.wraps")
    owner = getattr(function, "__self__", None)
    if owner is not None and not inspect.isclass(owner) and not inspect.ismodule(owner):
        raise _refusal(name, "it is a method of an object")
    return name


def _count_wrappers(module: ModuleType, name: str, function: Callable[..., Any]) -> int:
    value: Any = module
    for part in name.split("."):
        value = getattr(value, part, None)
    for wrappers, candidate in enumerate(_unwrap(value)):
        if candidate is function or (inspect.ismethod(candidate) and candidate == function):
            return wrappers
    if _is_executing(module):
        return 0
    if value is None:
        raise _refusal(name, f"the module {module.__name__!r} has no such name")
    raise _refusal(
        name,
        f"the name is another {type(value).__name__} in the module {module.__name__!r}",
        fix="keep the name unique; a decorator needs functools.wraps",
    )


def _unwrap(value: Any) -> Iterator[Any]:
    for _ in range(MAX_WRAPPERS):
        if value is None:
            return
        yield value
        value = getattr(value, "__wrapped__", None)


def _is_executing(module: ModuleType) -> bool:
    """A decorator runs before its function's name is bound."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_globals is vars(module) and frame.f_code.co_name == "<module>":
            return True
        frame = frame.f_back
    return False


def _import_script(path: str) -> ModuleType:
    """Import the parent's script, which becomes `__main__` here as well."""
    global _importing_script  # noqa: PLW0603
    main = sys.modules["__main__"]
    if main.__name__ == SCRIPT:
        return main
    script = ModuleType(SCRIPT)
    script.__file__ = path
    sys.modules["__main__"] = sys.modules[SCRIPT] = script
    _importing_script = True
    try:
        exec(compile(Path(path).read_bytes(), path, "exec", dont_inherit=True), vars(script))  # noqa: S102  (our own)
    except BaseException:
        sys.modules["__main__"] = sys.modules[SCRIPT] = main
        raise
    finally:
        _importing_script = False
    return script


def _refusal(name: str, reason: str, *, fix: str = _FIX) -> InvalidJobError:
    return InvalidJobError(f"the handler {name} can't run in another process: {reason}", fix=fix)
