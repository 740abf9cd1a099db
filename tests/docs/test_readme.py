"""The README's blocks run in their order, as one newcomer's session."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import get_args

from valkeykit import commands

from infra.drivers.processes import process
from infra.drivers.processes.folder import ServerFolder
from infra.hardening import Target
from stackctl.maintenance import reference
from stackctl.stack import PROJECT
from tests.support import checkout as checkout_of

APPLICATION = re.compile(r"`(\w+\.py)`:\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""A block that the reader saves, and the name of its file."""

_NODES = r'\w+(\["[^"]+"\])?( & \w+(\["[^"]+"\])?)*'
_EDGE = re.compile(f"  {_NODES} --> {_NODES}")
"""A line of a flowchart of Mermaid, as far as the README uses them."""


def script(language: str, text: str, files: dict[str, str]) -> str:
    """The lines of a shell that do what a reader does with a block."""
    if language == "sh":
        return text
    return (
        f"cat > {files[text]} <<'PYTHON'\n{text}PYTHON\n" if text in files else f"python - <<'PYTHON'\n{text}PYTHON\n"
    )


def _without_numbers(line: str) -> str:
    return re.sub(r"\d+", "N", line)


def files_to_save(page: Path) -> dict[str, str]:
    return {text: name for name, text in APPLICATION.findall(page.read_text())}


def test_every_block_of_the_readme_runs(tmp_path: Path) -> None:
    checkout = checkout_of.copy(tmp_path / "checkout")
    every = checkout_of.blocks(checkout / "README.md")
    # tests/clients/test_readme.py runs the other languages; below is a test of the diagram.
    assert {language for language, _ in every} == {"sh", "text", "python", "javascript", "go", "mermaid"}
    blocks = [block for block in every if block[0] in {"sh", "python"}]
    files = files_to_save(checkout / "README.md")
    assert files
    try:
        done = checkout_of.session(checkout, *(script(*block, files) for block in blocks))
        assert "\nhello\n" in done.stdout
        shown = dict(every)["text"].splitlines()
        assert {_without_numbers(line) for line in shown} <= set(
            map(_without_numbers, (done.stdout + done.stderr).splitlines())
        )
        assert "Nothing changed" not in done.stderr
        assert process.find(ServerFolder(checkout / ".valkey" / "dev")) is None
        assert 'failures="0"' in (checkout / "build" / "smoke.xml").read_text()
    finally:
        for name in ("dev", "second"):
            if running := process.find(ServerFolder(checkout / ".valkey" / name)):
                running.kill()


def test_the_diagram_names_what_exists() -> None:
    [diagram] = [text for language, text in checkout_of.blocks(PROJECT / "README.md") if language == "mermaid"]
    kind, *edges = diagram.splitlines()
    assert (kind, [edge for edge in edges if not _EDGE.fullmatch(edge)]) == ("flowchart LR", [])
    assert set(get_args(Target)) <= set(re.findall(r"\w+", diagram))
    operators = re.search(r"operators: ([\w, ]+)", diagram)
    assert operators
    assert set(operators[1].split(", ")) <= set(commands.OPS_COMMANDS)


def test_every_link_leads_somewhere() -> None:
    for page in (
        *PROJECT.glob("*.md"),
        PROJECT / "compose" / "README.md",
        PROJECT / "tests" / "README.md",
        *(PROJECT / "docs").rglob("*.md"),
    ):
        for link in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_reference_is_that_of_the_code() -> None:
    assert reference.FILE.read_text() == reference.render(), "run: python -m stackctl.maintenance.reference"


def test_every_command_of_make_is_in_its_help() -> None:
    shown = subprocess.run(["make", "help"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    rules = re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert all(f"make {rule} " in shown for rule in rules)
