"""The identity of a deployment, from which all names are derived: of its resources, and of what they create."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """
    owner: project/stack, or project/stack/name for one of several deployments in a stack.
    prefix: of the names of resources in Pulumi, which are unique in a stack.
    """

    owner: str
    prefix: str = ""

    @classmethod
    def of_stack(cls, project: str, stack: str) -> Identity:
        """The only deployment of a stack."""
        return cls(f"{project}/{stack}")

    @classmethod
    def of_instance(cls, project: str, stack: str, name: str) -> Identity:
        """One of several deployments in a stack."""
        return cls(f"{project}/{stack}/{name}", f"{name}-")

    def resource(self, name: str) -> str:
        """The name of a resource in Pulumi."""
        return f"{self.prefix}{name}"

    @property
    def stack(self) -> str:
        """The name of the stack."""
        return self.owner.split("/")[1]

    @property
    def folder(self) -> str:
        """Files on this machine, relative to the project."""
        return f".valkey/{self.owner.partition('/')[2]}"
