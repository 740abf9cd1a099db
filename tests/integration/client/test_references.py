"""Functions that another process can import, and those that it can't."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from valkeykit.errors import ConfigurationError, InvalidJobError
from valkeykit.queue.outcomes import HandlerFailedError
from valkeykit.queue.processes import references
from valkeykit.queue.processes.parent import HandlerProcess
from valkeykit.queue.processes.references import check_importable, check_not_importing

from tests.integration.client import process_handlers as handlers
from tests.integration.client.calling import call


def test_a_script_that_is_imported_starts_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    check_not_importing()
    monkeypatch.setattr(references, "_importing_script", True)
    with pytest.raises(ConfigurationError):
        HandlerProcess()


@pytest.mark.parametrize(
    "function", [handlers.echo, handlers.Mailer.send, handlers.Mailer.name, handlers.wrapped, handlers.bare, abs]
)
def test_a_function_with_a_name_in_its_module_is_importable(function: Callable[..., Any]) -> None:
    check_importable(function)
    assert references.resolve(references.refer(function)) == function


def nested() -> Callable[..., Any]:
    def handler() -> None:
        pass

    return handler


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda: None, "it is a lambda"),
        (handlers.anonymous, "it is a lambda"),
        (nested(), "it is defined in another function"),
        (handlers.unnamed, "it is defined in another function"),
        (handlers.partially, "it is a partial object, not a function"),
        (handlers.mailer, "it is a Mailer object, not a function"),
        (handlers.mailer.post, "it is a method of an object"),
        ([].append, "it is a method of an object"),
        (handlers.first, "the name is another function in the module"),
    ],
)
def test_a_function_without_a_name_in_its_module_is_refused(
    process: HandlerProcess, function: Callable[..., Any], reason: str
) -> None:
    with pytest.raises(InvalidJobError, match=reason) as caught:
        check_importable(function)
    assert caught.value.fix
    with pytest.raises(HandlerFailedError, match=f"InvalidJobError: .*{reason}"):
        call(process, function)


def define(module: ModuleType, source: str) -> Any:
    exec(compile(source, "session", "exec"), vars(module))  # noqa: S102
    return vars(module).get("handler")


def test_a_function_of_an_interactive_session_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    session = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", session)
    with pytest.raises(InvalidJobError, match="interactive session"):
        check_importable(define(session, "def handler(): pass"))


def test_a_function_of_a_module_without_a_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("made_up")
    handler = define(module, "def handler(): pass")
    with pytest.raises(InvalidJobError, match="its module 'made_up' is not imported"):
        check_importable(handler)
    monkeypatch.setitem(sys.modules, "made_up", module)
    with pytest.raises(InvalidJobError, match="its module 'made_up' can't be imported"):
        check_importable(handler)


def test_a_decorator_may_check_before_the_name_is_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "from valkeykit.queue.processes.references import check_importable as check\n"
    source += "def deco(function):\n    check(function)\n    return function\n"
    source += "@deco\ndef send(): pass\n@deco\ndef send(): pass\nclass Mail:\n    @staticmethod\n    @deco\n"
    source += "    def post(): pass\ndel send\n"
    (tmp_path / "decorated_module.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    import decorated_module  # type: ignore[import-not-found]

    check_importable(decorated_module.Mail.post)
    post = decorated_module.Mail.post
    del decorated_module.Mail
    with pytest.raises(InvalidJobError, match="the module 'decorated_module' has no such name"):
        check_importable(post)


def test_a_module_on_a_path_that_was_added_is_imported(
    process: HandlerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "added_module.py").write_text("def greet(name):\n    return 'hello ' + name\n")
    monkeypatch.syspath_prepend(tmp_path)
    import added_module  # type: ignore[import-not-found]

    assert call(process, added_module.greet, name="ann") == "hello ann"
    assert call(process, handlers.wrapped) == ["logged", "bare"]
    assert call(process, handlers.bare) == "bare"
