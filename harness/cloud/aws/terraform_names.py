"""The inputs of Pulumi's resources in Terraform's words, by the provider's schema."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

Schemas = Mapping[str, Any]
"""Of the provider's types, as `terraform providers schema` prints them."""

_RENAMED = {
    ("aws_cloudwatch_metric_alarm", "name"): "alarm_name",
    ("aws_sns_topic_subscription", "topic"): "topic_arn",
}
"""Attributes that Pulumi renames beyond case and number."""


def type_of(kind: str, schemas: Schemas) -> str:
    """Terraform's type of a type token, such as aws:ec2/vpc:Vpc."""
    _, module, name = kind.split(":")
    candidates = (f"aws_{module.partition('/')[0]}_{_snake(name)}", f"aws_{_snake(name)}")
    return next(candidate for candidate in candidates if candidate in schemas)


def body_of(kind: str, inputs: Mapping[str, Any], schemas: Schemas) -> tuple[dict[str, Any], set[str]]:
    """A resource in Terraform's JSON, and the inputs that this version of the provider lacks."""
    type_name, missing = type_of(kind, schemas), set[str]()
    return _block(type_name, schemas[type_name]["block"], inputs, missing), missing


def pulumi_name(name: str) -> str:
    """Of an attribute that Pulumi does not rename."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _block(type_name: str, block: Any, inputs: Mapping[str, Any], missing: set[str]) -> dict[str, Any]:
    attributes, blocks = block.get("attributes", {}), block.get("block_types", {})
    result: dict[str, Any] = {}
    for given, value in inputs.items():
        name = _name(type_name, given, {*attributes, *blocks})
        if value is None:
            continue
        if name is None:
            missing.add(given)
        elif name in attributes:
            result[name] = _value(type_name, attributes[name]["type"], value, missing)
        else:
            items = value if isinstance(value, list) else [value]
            result[name] = [_block(type_name, blocks[name]["block"], item, missing) for item in items]
    return result


def _value(type_name: str, kind: Any, value: Any, missing: set[str]) -> Any:
    if kind == "string":
        return str(value).lower() if isinstance(value, bool) else str(value)
    if isinstance(kind, str):
        return value
    container, inner = kind
    if container == "object":
        named = {_name(type_name, given, inner): item for given, item in value.items()}
        return {name: _value(type_name, inner[name], named[name], missing) if name in named else None for name in inner}
    if container == "map":
        return {name: _value(type_name, inner, item, missing) for name, item in value.items()}
    return [_value(type_name, inner, item, missing) for item in (value if isinstance(value, list) else [value])]


def _name(type_name: str, given: str, known: Collection[str]) -> str | None:
    plain = _snake(given)
    singular = f"{plain[:-3]}y" if plain.endswith("ies") else plain.removesuffix("s")
    candidates = (_RENAMED.get((type_name, plain)), plain, singular)
    return next((candidate for candidate in candidates if candidate in known), None)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
