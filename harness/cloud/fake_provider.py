"""A fake Pulumi provider of a cloud, sufficient for the real engine to plan and carry out a program.

It is no copy of the real one: what it says of a type is what a test gives it as a `Cloud`.
`harness.cloud.stack` starts it. No test imports this module: it brings a message that Google's libraries bring too, and
one process can't have both.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Collection, Mapping
from typing import Any, Protocol

import grpc
import grpc.aio
from google.protobuf.empty_pb2 import Empty
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.provider import (
    CheckRequest,
    CheckResponse,
    ConfigureRequest,
    ConfigureResponse,
    CreateRequest,
    CreateResponse,
    DeleteRequest,
    DiffRequest,
    DiffResponse,
    InvokeRequest,
    InvokeResponse,
    PropertyDiff,
    PropertyDiffKind,
    Provider,
    ReadRequest,
    ReadResponse,
    UpdateRequest,
    UpdateResponse,
)
from pulumi.provider.experimental.server import ProviderServicer
from pulumi.runtime import rpc
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

Properties = dict[str, Any]
"""Plain values by the provider's names; numbers without a fraction are whole ones."""

UNKNOWN = rpc.UNKNOWN.encode()
"""How the protocol writes a value that is unknown at preview."""

DEFAULTS = "__defaults"
"""What an import adds to every map: the names of the properties that have default values."""

_NONE, _SOME = 1, 2
"""Of the protocol's DiffChanges: for a provider's own configuration the SDK hands on a number, not a boolean."""

_GIVEN = "__given"
"""The names of a resource's inputs, kept in its state: Pulumi's Diff shows outputs and inputs in one."""


class Cloud(Protocol):
    """What a fake provider knows of its cloud. Every method may raise; the text is what the operator reads.

    places: inputs of the provider itself whose change replaces it, and with it all its resources.
    """

    places: Collection[str] = ()

    def refusals(self, kind: str, inputs: Properties) -> list[tuple[str, str]]:
        """Property and reason of everything that the provider refuses; `kind` is the resource's type token."""

    def replaces(self, kind: str, previous: Properties, inputs: Properties, changed: set[str]) -> set[str]:
        """Which of the changed properties can't be changed in place."""

    def deletes_first(self, kind: str, inputs: Properties) -> bool:  # noqa: ARG002
        """Whether a replacement deletes the previous resource first, unless the program says otherwise."""
        return False

    def shown(self, kind: str, resource: str, inputs: Properties) -> Properties:  # noqa: ARG002
        """The inputs that the API shows with other values than it received."""
        return {}

    def outputs(self, kind: str, resource: str, inputs: Properties) -> Properties:  # noqa: ARG002
        """Of an existing resource that is read for the first time, its outputs in addition to the inputs."""
        return {}

    def create(self, kind: str, name: str, inputs: Properties) -> tuple[str, Properties]:
        """The new resource's id, and its outputs in addition to the inputs."""

    def read(self, kind: str, resource: str, previous: Properties) -> Properties | None:
        """The inputs that an existing resource has; None where there is none. previous: empty for an import."""

    def update(self, kind: str, resource: str, previous: Properties, inputs: Properties) -> Properties:
        """Change it in place; its outputs in addition to the inputs."""

    def delete(self, kind: str, resource: str, previous: Properties) -> None:
        """Take it down."""

    def invoke(self, function: str, arguments: Properties) -> Properties:
        """A data source's answer."""


class FakeProvider(Provider):
    """Pulumi's protocol on one side, plain values on the other."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    async def check_config(self, request: CheckRequest) -> CheckResponse:
        return CheckResponse(request.new_inputs)

    async def diff_config(self, request: DiffRequest) -> DiffResponse:
        previous, inputs = plain(request.old_state), plain(request.new_inputs)
        changed = sorted(name for name in {*previous, *inputs} if previous.get(name) != inputs.get(name))
        replaces = [name for name in changed if name in self._cloud.places]
        response = DiffResponse(replaces=replaces, diffs=changed)
        response.changes = _SOME if changed else _NONE  # type: ignore[assignment]
        return response

    async def configure(self, request: ConfigureRequest) -> ConfigureResponse:  # noqa: ARG002
        return ConfigureResponse(accept_secrets=True, supports_preview=True)

    async def diff(self, request: DiffRequest) -> DiffResponse:
        previous, inputs = plain(request.old_state), plain(request.new_inputs)
        given = set(previous.get(_GIVEN, ()))
        changed = {name for name in given | set(inputs) if previous.get(name) != inputs.get(name)}
        changed -= set(request.ignore_changes)
        replaces = self._cloud.replaces(_kind(request.type), previous, inputs, changed)
        details = {
            name: PropertyDiff(
                PropertyDiffKind.UPDATE_REPLACE if name in replaces else PropertyDiffKind.UPDATE, input_diff=True
            )
            for name in changed
        }
        return DiffResponse(
            changes=bool(changed),
            replaces=sorted(replaces),
            delete_before_replace=bool(replaces) and self._cloud.deletes_first(_kind(request.type), inputs),
            diffs=sorted(changed),
            detailed_diff=details,
        )

    async def create(self, request: CreateRequest) -> CreateResponse:
        if request.preview:
            return CreateResponse("", request.properties)
        kind, inputs = _kind(request.type), plain(request.properties)
        resource, outputs = self._cloud.create(kind, request.name, inputs)
        return CreateResponse(resource, _state(request.properties, outputs, self._cloud.shown(kind, resource, inputs)))

    async def read(self, request: ReadRequest) -> ReadResponse:
        kind, previous = _kind(request.type), plain(request.inputs)
        found = self._cloud.read(kind, request.resource_id, previous)
        if found is None:
            return ReadResponse("")
        resource = request.resource_id
        inputs = request.inputs if found == previous else _wrap_all(found)
        outputs = plain(request.properties) if previous else self._cloud.outputs(kind, resource, found)
        state = _state(inputs, outputs, self._cloud.shown(kind, resource, found))
        return ReadResponse(resource, state, inputs if previous else _marked(inputs))

    async def update(self, request: UpdateRequest) -> UpdateResponse:
        if request.preview:
            return UpdateResponse({**request.olds, **request.news})
        kind, resource, inputs = _kind(request.type), request.resource_id, plain(request.news)
        outputs = self._cloud.update(kind, resource, plain(request.olds), inputs)
        return UpdateResponse(_state(request.news, outputs, self._cloud.shown(kind, resource, inputs)))

    async def delete(self, request: DeleteRequest) -> None:
        self._cloud.delete(_kind(request.type), request.resource_id, plain(request.properties))

    async def invoke(self, request: InvokeRequest) -> InvokeResponse:
        return InvokeResponse(_wrap_all(self._cloud.invoke(request.tok, plain(request.args))))


class Servicer(ProviderServicer):
    """Pulumi's own, which can't be attached to, and which rewrites what it checks: the engine waits for each.

    The methods' names are the protocol's.
    """

    def __init__(self, cloud: Cloud, version: str) -> None:
        super().__init__(sys.argv[1:], version, FakeProvider(cloud), engine_address="")
        self._cloud = cloud

    async def Attach(self, _request: Any, _context: Any) -> Empty:  # noqa: N802
        return Empty()

    async def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        """A failed update leaves the new values in the state, as those of Terraform's providers do."""
        try:
            return await super().Update(request, context)
        except Exception as problem:  # noqa: BLE001
            await context.abort_with_status(_update_failed(request, str(problem).partition(":\n  File")[0]))

    async def Check(self, request: Any, _context: Any) -> provider_pb2.CheckResponse:  # noqa: N802
        is_known = UNKNOWN not in request.news.SerializeToString()
        failures = self._failures(request) if is_known else []
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def _failures(self, request: Any) -> list[provider_pb2.CheckFailure]:
        inputs = plain(PropertyValue.unmarshal_map(request.news))
        refusals = self._cloud.refusals(_kind(request.urn.split("::")[2]), inputs)
        return [provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in refusals]


def _update_failed(request: Any, reason: str) -> grpc.Status:
    olds, news = (PropertyValue.unmarshal_map(values) for values in (request.olds, request.news))
    state = PropertyValue.marshal_map(_state(news, plain(olds), {}))
    detail = provider_pb2.ErrorResourceInitFailed(id=request.id, properties=state, reasons=[reason])
    answer = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=reason)
    answer.details.add().Pack(detail)
    status = grpc.Status()
    status.code, status.details = grpc.StatusCode.UNKNOWN, reason
    status.trailing_metadata = (("grpc-status-details-bin", answer.SerializeToString()),)
    return status


def serve(cloud: Cloud, version: str) -> None:
    """Answer engines until the process is ended; the port is the first line that it prints."""
    asyncio.run(_serve(Servicer(cloud, version)))


async def _serve(servicer: Servicer) -> None:
    server = grpc.aio.server()
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


def plain(properties: Mapping[str, PropertyValue]) -> Properties:
    """Without Pulumi's marks."""
    return {name: _plain(value) for name, value in properties.items()}


def wrapped(value: Any) -> PropertyValue:
    """A plain value as Pulumi has it."""
    if isinstance(value, Mapping):
        return PropertyValue(_wrap_all(value))
    if isinstance(value, (list, tuple)):
        return PropertyValue([wrapped(item) for item in value])
    if isinstance(value, int) and not isinstance(value, bool):
        return PropertyValue(float(value))
    return PropertyValue(value)


def _marked(inputs: Mapping[str, PropertyValue]) -> dict[str, PropertyValue]:
    """With the mark that an import puts into each map."""
    return {name: _marked_value(value) for name, value in inputs.items()}


def _marked_value(value: PropertyValue) -> PropertyValue:
    content = value.value
    if isinstance(content, Mapping):
        return PropertyValue({**_marked(content), DEFAULTS: PropertyValue([])})
    if isinstance(content, (list, tuple)):
        return PropertyValue([_marked_value(item) for item in content])
    return value


def _unmarked(inputs: Mapping[str, PropertyValue]) -> dict[str, PropertyValue]:
    """Outputs don't have the mark."""
    return {
        name: PropertyValue(_unmarked(value.value), value.is_secret) if isinstance(value.value, Mapping) else value
        for name, value in inputs.items()
        if name != DEFAULTS
    }


def _kind(types: str) -> str:
    """The resource's own type token; before it a URN has those of its parents."""
    return types.rpartition("$")[2]


def _state(
    inputs: Mapping[str, PropertyValue], outputs: Mapping[str, Any], shown: Mapping[str, Any]
) -> dict[str, PropertyValue]:
    """Inputs keep their secret marks, unless the API shows another value; what else the cloud knows is added."""
    added = {name: wrapped(value) for name, value in outputs.items() if name not in inputs}
    inputs = _unmarked(inputs)
    given = sorted(inputs.keys() - {_GIVEN})
    return {**added, **inputs, **_wrap_all(shown), _GIVEN: wrapped(given)}


def _wrap_all(values: Mapping[str, Any]) -> dict[str, PropertyValue]:
    return {name: wrapped(value) for name, value in values.items()}


def _plain(value: PropertyValue) -> Any:
    content = value.value
    if isinstance(content, Mapping):
        return {name: _plain(item) for name, item in content.items() if name != DEFAULTS}
    if isinstance(content, (list, tuple)):
        return [_plain(item) for item in content]
    if isinstance(content, float) and content.is_integer():
        return int(content)
    return content
