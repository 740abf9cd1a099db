"""Which of two nodes holds more, by the end of their append-only files and by the time of the last write."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.drivers.processes import appendonly, holdings
from infra.drivers.processes.holdings import Holding, choose_primary, is_ahead
from infra.errors import ProvisioningError


def holds(*commands: str, at: int = 1000, torn: int = 0) -> Holding:
    return Holding(at, exists=True, torn=torn, tail="".join(f"{command}\r\n" for command in commands).encode())


EMPTY = Holding()
NO_KEYS = Holding(exists=True)
DAMAGED = Holding(exists=True, damage="damaged")


@pytest.mark.parametrize(
    ("more", "less"),
    [
        (holds("a", "b"), holds("a")),
        (holds("a", "b", "c"), holds("b")),  # the other has rewritten its file since
        (holds("a", "b"), holds("a", at=1001)),  # of the same moment: a clock tick differs
        (holds("c", at=2000), holds("a", "b")),
        (holds("b", "x", "b", at=2000), holds("a", "b", "c", at=1000)),
        (holds("b", at=2000), holds("a", "b", "c", at=1000)),  # the same command as long ago
        (holds(at=2000), holds("a", at=1000)),  # has just rewritten its file
        (holds("x"), holds("y", torn=3)),
        (holds("a"), EMPTY),
        (holds("a"), NO_KEYS),
        (holds("a"), DAMAGED),
        (holds(*["incr hits"] * 9000, at=90_000), holds(*["incr hits"] * 9000)),  # the same end, a day later
    ],
)
def test_one_is_ahead_of_the_other(more: Holding, less: Holding) -> None:
    assert is_ahead(more, less)
    assert not is_ahead(less, more)


@pytest.mark.parametrize(
    ("one", "other"),
    [(holds("a", "b"), holds("a", "b")), (holds("a"), holds("b", at=1001)), (EMPTY, DAMAGED), (holds(), holds())],
)
def test_neither_is_ahead(one: Holding, other: Holding) -> None:
    assert not is_ahead(one, other)
    assert not is_ahead(other, one)


def test_the_preferred_node_leads_unless_another_holds_more() -> None:
    assert choose_primary({"a": holds("x"), "b": holds("x")}, "b", existed=True) == "b"
    assert choose_primary({"a": holds("x", "y"), "b": holds("x")}, "b", existed=True) == "a"
    assert choose_primary({"a": EMPTY, "b": DAMAGED, "c": holds("x")}, "a", existed=True) == "c"
    assert choose_primary({"a": EMPTY, "b": NO_KEYS}, "a", existed=True) == "b"
    assert choose_primary({"a": EMPTY, "b": EMPTY}, "b", existed=False) == "b"


@pytest.mark.parametrize("found", [{"a": EMPTY, "b": EMPTY}, {"a": DAMAGED, "b": EMPTY}, {"a": NO_KEYS, "b": DAMAGED}])
def test_without_usable_data_no_node_leads(found: dict[str, Holding]) -> None:
    with pytest.raises(ProvisioningError, match=f"a: {found['a']}; b: {found['b']} -> .*make repair NODE=a"):
        choose_primary(found, "a", existed=True)


@pytest.mark.parametrize(("damaged_at", "leads"), [(0, True), (1000, True), (1010, True), (1011, False)])
def test_older_data_do_not_replace_what_is_left_of_later_data(damaged_at: int, leads: bool) -> None:
    found = {"a": EMPTY, "b": Holding(damaged_at, exists=True, damage="damaged"), "c": holds("x")}
    if leads:
        assert choose_primary(found, "b", existed=True) == "c"
        return
    expected = (
        r"nothing was changed, as b has writes until 1970-01-01 00:16:51 UTC, .* c, until 1970-01-01 00:16:40 UTC: "
        r"b: damaged -> .*make repair NODE=b; .*FORCE=1"
    )
    with pytest.raises(ProvisioningError, match=expected):
        choose_primary(found, "b", existed=True)


SET = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n"
EMPTY_BASE = b"REDIS0011\xff" + bytes(8)


def node(data: Path, text: bytes, base: bytes | None = None) -> Path:
    """The data folder of a node."""
    folder = data / appendonly.FOLDER
    folder.mkdir(parents=True)
    manifest = "file appendonly.aof.1.incr.aof seq 1 type i\n"
    if base is not None:
        (folder / "appendonly.aof.1.base.rdb").write_bytes(base)
        manifest = f"file appendonly.aof.1.base.rdb seq 1 type b\n{manifest}"
    (folder / appendonly.MANIFEST).write_text(manifest)
    (folder / "appendonly.aof.1.incr.aof").write_bytes(text)
    return data


@pytest.mark.parametrize(("base", "leader"), [(EMPTY_BASE, "damaged"), (b"garbage", "stale")])
def test_a_repair_lets_one_of_a_damaged_and_a_stale_node_lead(tmp_path: Path, base: bytes, leader: str) -> None:
    """The damaged one, or if nothing of it can be loaded, with the loss accepted, the stale one."""
    damaged = node(tmp_path / "0" / "data", b"#TS:1700003600\r\n" + SET + bytes(64), base)
    stale = node(tmp_path / "1" / "data", b"#TS:1700000000\r\n" + SET)

    def choose() -> str:
        return choose_primary(
            {"damaged": holdings.read(damaged), "stale": holdings.read(stale)}, "damaged", existed=True
        )

    assert holdings.read(damaged).as_of == 1700003600
    with pytest.raises(ProvisioningError, match="make repair NODE=damaged"):
        choose()
    if leader == "stale":
        with pytest.raises(ProvisioningError, match="FORCE=1 accepts the loss"):
            appendonly.repair(damaged)
    repaired = appendonly.repair(damaged, force=leader == "stale")
    assert repaired
    assert repaired.kept
    assert choose() == leader


def test_what_servers_write_for_themselves_is_not_compared(tmp_path: Path) -> None:
    command = SET
    select = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"
    found = []
    for number, text in enumerate((b"#TS:1700000000\r\n" + select + command, command + b"#TS:1700000001\r\n")):
        folder = tmp_path / str(number) / "appendonlydir"
        folder.mkdir(parents=True)
        (folder / "appendonly.aof.manifest").write_text("file appendonly.aof.1.incr.aof seq 1 type i\n")
        (folder / "appendonly.aof.1.incr.aof").write_bytes(text)
        found.append(holdings.read(folder.parent))
    assert [holding.tail for holding in found] == [command, command]
    assert [holding.as_of for holding in found] == [1700000000, 1700000001]
