"""A cluster node's nodes.conf, rebuilt from another node's."""

from __future__ import annotations

from collections.abc import Iterable


def is_sound(text: str) -> bool:
    """Whether every line is complete, one is the node's own, and the last one has the epochs."""
    *nodes, last = text.splitlines() or [""]
    complete = all(len(line.split(" ", 1)[0]) == 40 and len(line.split()) >= 8 for line in nodes)
    return complete and own_id(text) != "" and last.startswith("vars ")


def own_id(text: str) -> str:
    """The id of the node that wrote it."""
    return next((line.split()[0] for line in text.splitlines() if "myself" in _flags(line)), "")


def former_id(texts: Iterable[str], host: str) -> str:
    """The id that the other nodes know for an address; of several, the one with slots."""
    lines = [line.split() for text in texts for line in text.splitlines()]
    known = [words for words in lines if len(words) >= 8 and words[1].startswith(f"{host}:")]
    known.sort(key=len)
    return known[-1][0] if known else ""


def rebuild(other: str, identity: str) -> str:
    """The nodes.conf of the node with this id, from that of another node of the cluster."""
    lines = []
    for line in other.splitlines():
        words = line.split()
        if words[0] == "vars":
            words[4] = words[2]  # it may have voted in any epoch so far, so it votes in none of them again
        else:
            flags = [flag for flag in words[2].split(",") if flag in {"master", "slave"}]
            words[2] = ",".join(["myself", *flags] if words[0] == identity else flags)
            words[4:6] = ["0", "0"]
            words = [word for word in words if not word.startswith("[")]  # a slot on its way to or from the other node
        lines.append(" ".join(words))
    return "\n".join([*lines, ""])


def _flags(line: str) -> list[str]:
    words = line.split()
    return words[2].split(",") if len(words) >= 8 else []
