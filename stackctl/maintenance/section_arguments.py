"""Generator of infra/section_arguments.py: `python -m stackctl.maintenance.section_arguments`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from infra.output_arguments import PLACEHOLDERS
from infra.settings import StackSettings
from infra.settings.config_keys import Key
from infra.settings.validation import TARGET_KEYS
from stackctl.stack import PROJECT

FILE = PROJECT / "infra" / "section_arguments.py"

HEADER = '''"""Arguments of the component for one target: the keys of its section, for editors and type checkers.

Generated from infra/settings by `python -m stackctl.maintenance.section_arguments`; a test compares them.
The values are checked by the settings, as those of a stack's configuration are.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

import pulumi
'''

LINE_LENGTH = 120


def render() -> str:
    return "\n".join([HEADER, *(line for section in TARGET_KEYS for line in _class(section))])


def _class(section: str) -> Iterator[str]:
    model: Any = StackSettings.model_fields[section].annotation
    yield from ("", f"class {section.capitalize()}Args(TypedDict, total=False):")
    yield f'    """{_summary(model)}"""'
    for name, field in model.model_fields.items():
        yield from ("", f"    {name}: {_type(field, may_be_output=f'{section}.{name}' in PLACEHOLDERS)}")
        yield from _docstring(field)
    yield ""


def _summary(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def _docstring(field: FieldInfo) -> Iterator[str]:
    key = next(entry for entry in field.metadata if isinstance(entry, Key))
    yield from textwrap.wrap(
        f'"""{key.meaning}. Expected: {key.allowed}."""', LINE_LENGTH, initial_indent="    ", subsequent_indent="    "
    )


def _type(field: FieldInfo, *, may_be_output: bool) -> str:
    text = _python_type(field.annotation)
    if not may_be_output:
        return text
    return "pulumi.Input[Sequence[pulumi.Input[str]]]" if text == _LIST else f"pulumi.Input[{text}]"


_LIST = "Sequence[str] | str"
"""Text has commas between the values."""


def _python_type(hint: Any) -> str:
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _python_type(parts[0])
    if NoneType in parts:
        return _python_type(parts[0])
    if origin is Literal:
        return f"Literal[{', '.join(f'{chr(34)}{value}{chr(34)}' for value in parts)}]"
    if origin is tuple:
        return _LIST
    if origin is dict:
        return f"Mapping[str, {_python_type(parts[1])}]"
    return str(hint.__name__)


if __name__ == "__main__":
    FILE.write_text(render())
