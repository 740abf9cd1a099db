"""What happens to a node's disk, done to the volume of a container: files emptied, cut, overwritten, lost."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from infra.drivers.docker.engine import Engine

Damage = Callable[[Path], None]


def volume(engine: Engine, name: str) -> Path:
    """Where the engine, which must be on this machine, keeps a volume."""
    (facts,) = engine.inspect("volume", name)
    return Path(facts["Mountpoint"])


def empty(data: Path) -> None:
    for entry in data.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def cut_append_only_file(data: Path) -> None:
    file = append_only_file(data)
    os.truncate(file, file.stat().st_size // 2)


def lose_manifest(data: Path) -> None:
    (data / "appendonlydir" / "appendonly.aof.manifest").unlink()


def cut_manifest(data: Path) -> None:
    file = data / "appendonlydir" / "appendonly.aof.manifest"
    os.truncate(file, file.stat().st_size - 5)


def garble_append_only_file(data: Path) -> None:
    _overwrite(append_only_file(data), b"\xff" * 64)


def append_zeros(data: Path) -> None:
    """As after a loss of power."""
    with append_only_file(data).open("ab") as file:
        file.write(b"\0" * 4096)


def cut_what_was_not_durable(data: Path) -> None:
    """Between the two sizes of the position that it noted last, as after a loss of power."""
    _, _, _, _, name, size, durable, *_ = (data / "position").read_text().split()
    file = data / "appendonlydir" / name
    os.truncate(file, (int(durable) + max(int(durable), min(int(size), file.stat().st_size))) // 2)


def empty_base_file(data: Path) -> None:
    os.truncate(max(data.glob("appendonlydir/*.base.rdb"), key=_number), 0)


def drop_base_line(data: Path) -> None:
    file = data / "appendonlydir" / "appendonly.aof.manifest"
    lines = [line for line in file.read_text().splitlines(keepends=True) if " type b" not in line]
    file.write_text("".join(lines))


def garble_base_file(data: Path) -> None:
    _overwrite(max(data.glob("appendonlydir/*.base.rdb"), key=_number), random.Random(1).randbytes(40))


def empty_nodes_conf(data: Path) -> None:
    os.truncate(data / "nodes.conf", 0)


def cut_nodes_conf(data: Path) -> None:
    file = data / "nodes.conf"
    os.truncate(file, file.stat().st_size // 2)


def garble_nodes_conf(data: Path) -> None:
    (data / "nodes.conf").write_bytes(b"\x00\xfegarbage here\n" * 20)


def lose_nodes_conf(data: Path) -> None:
    (data / "nodes.conf").unlink()


def take_other_nodes_conf(data: Path) -> None:
    """That of the next node."""
    volume = data.parent
    project, _, number = volume.name.rpartition("-")
    others = sorted(other for other in volume.parent.glob(f"{project}-*") if other != volume)
    other = next((other for other in others if int(other.name.rpartition("-")[2]) > int(number)), others[0])
    (data / "nodes.conf").write_bytes((other / data.name / "nodes.conf").read_bytes())


ANY: Mapping[str, Damage] = {
    function.__name__: function
    for function in (
        empty, cut_append_only_file, lose_manifest, cut_manifest, garble_append_only_file, append_zeros,
        cut_what_was_not_durable, empty_base_file, drop_base_line, garble_base_file,
    )
}  # fmt: skip
OF_CLUSTER: Mapping[str, Damage] = {
    **ANY,
    **{
        function.__name__: function
        for function in (
            empty_nodes_conf,
            cut_nodes_conf,
            garble_nodes_conf,
            lose_nodes_conf,
            take_other_nodes_conf,
        )
    },
}


@contextlib.contextmanager
def small_disk(data: Path) -> Iterator[None]:
    """A volume of a stopped node on a file system of its own, of 32 MB; what is on it is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        copy(data, Path(folder))
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m,uid=999,gid=999", "tmpfs", data], check=True)
        try:
            copy(Path(folder), data)
            yield
        finally:
            subprocess.run(["umount", "--lazy", data], check=True)


def copy(source: Path, target: Path) -> None:
    """With owners, as only root can."""
    shutil.copytree(source, target, dirs_exist_ok=True)
    for path in (target, *target.rglob("*")):
        os.chown(path, 999, 999)


def make_read_only(data: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", data], check=True)


def make_writable(data: Path) -> None:
    subprocess.run(["mount", "-o", "remount,rw", data], check=True)


def fill_disk(data: Path) -> None:
    with contextlib.suppress(OSError), (data / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


def free_disk(data: Path) -> None:
    (data / "filler").unlink()


def close(data: Path) -> None:
    """As after a copy by root."""
    os.chown(data, 0, 0)
    data.chmod(0o755)


def open_again(data: Path) -> None:
    os.chown(data, 999, 999)


def append_only_file(data: Path) -> Path:
    """The last one, which the server appends to."""
    return max(data.glob("appendonlydir/*.incr.aof"), key=_number)


def _overwrite(file: Path, garbage: bytes) -> None:
    with file.open("r+b") as target:
        target.seek(file.stat().st_size // 2)
        target.write(garbage)


def _number(file: Path) -> int:
    return int(file.name.split(".")[2])
