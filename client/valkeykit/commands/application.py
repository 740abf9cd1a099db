"""Import of an application's queue. Any exception of its module becomes one error of valkeykit."""

from __future__ import annotations

import importlib
import logging
import sys
import traceback
from pathlib import Path
from types import ModuleType

from valkeykit.commands.tables import clean
from valkeykit.errors import ConfigurationError, ValkeykitError
from valkeykit.queue.base import QueueBase
from valkeykit.queue.outcomes import describe

_USAGE = "valkeykit worker module:queue"


def load(target: str) -> QueueBase:
    """Import the queue that `module:name` names; modules of the working folder count.

    Raises:
        ConfigurationError: The name is not a queue, or its module can't be imported.
    """
    module_name, _, name = target.partition(":")
    if not module_name or not name:
        raise ConfigurationError(f"{target!r} does not name a queue", fix=_USAGE)
    path = module_name.removesuffix(".py").removeprefix("./").replace("/", ".")
    if path != module_name or not all(part.isidentifier() for part in module_name.split(".")):
        raise ConfigurationError(f"{module_name!r} is not a module's name", fix=f"valkeykit worker {path}:{name}")
    module = _import(module_name)
    value = getattr(module, name, None)
    if isinstance(value, QueueBase):
        return value
    queues = [key for key, other in vars(module).items() if isinstance(other, QueueBase)]
    fix = f"valkeykit worker {module_name}:{queues[0]}" if queues else f'{name} = valkeykit.Queue("mail")'
    what = f"is not a queue but of type {type(value).__name__}" if name in vars(module) else "does not exist"
    raise ConfigurationError(f"{target} {what}", fix=fix)


def _import(name: str) -> ModuleType:
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as problem:
        if problem.name is None or not f"{name}.".startswith(f"{problem.name}."):
            raise _failure(name, problem) from problem
        raise ConfigurationError(
            f"no module named {problem.name!r}", fix="run the command in the project's folder"
        ) from None
    except (Exception, SystemExit) as problem:
        raise _failure(name, problem) from problem


def _failure(module_name: str, problem: BaseException) -> ConfigurationError:
    logging.getLogger("valkeykit").debug("the module %s can't be imported", module_name, exc_info=problem)
    if isinstance(problem, ValkeykitError):
        text, fix = f"{type(problem).__name__}: {problem.args[0]}", problem.fix
    else:
        text, fix = describe(problem), ""
    if isinstance(problem, SyntaxError):
        text = f"{type(problem).__name__}: {problem.msg}"
    text = clean(" ".join(text.split())[:500])
    place = _place(problem)
    return ConfigurationError(
        f"the module {module_name!r} can't be imported: {text}" + (f" ({place})" if place else ""),
        fix=fix or "fix the module; -v logs the traceback",
    )


def _place(problem: BaseException) -> str:
    """The last file and line of the traceback in the project itself, not in a library."""
    if isinstance(problem, SyntaxError) and problem.filename:
        return f"{_shown(problem.filename)}, line {problem.lineno}"
    frames = [
        frame
        for frame in traceback.extract_tb(problem.__traceback__)
        if frame.filename != __file__ and not frame.filename.startswith("<frozen")
    ]
    own = [frame for frame in frames if _is_in_project(frame.filename)]
    last = (own or frames)[-1:]
    return "".join(f"{_shown(frame.filename)}, line {frame.lineno}" for frame in last)


def _is_in_project(file: str) -> bool:
    return Path(file).is_relative_to(Path.cwd()) and "site-packages" not in file


def _shown(file: str) -> str:
    return str(Path(file).relative_to(Path.cwd())) if Path(file).is_relative_to(Path.cwd()) else file
