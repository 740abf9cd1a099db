"""Which rotation the servers have: without a new one an update changes no password, whatever wrote the state."""

from __future__ import annotations

import pytest

from infra.providers import Props
from infra.providers.credentials import PasswordProvider, RotationProvider, completed_rotation

INPUTS = {"rotation": "june", "completed": "may"}
STATES: list[Props] = [
    {**INPUTS, "loaded": "2026-06-01T00:00:00+00:00"},
    {"rotation": "june", "retired": "may", "loaded": "2026-06-01T00:00:00+00:00"},  # of a stack before the new name
]


@pytest.mark.parametrize("state", STATES)
def test_an_update_without_a_rotation_changes_nothing(state: Props) -> None:
    assert not RotationProvider().diff("id", state, INPUTS).changes
    assert not RotationProvider().diff("id", state, state).changes  # of a refresh
    assert completed_rotation(state) == "may"
    password = {"rotation": "june", "value": "secret", "previous": "earlier"}
    assert PasswordProvider().check(password, INPUTS).failures == []
    assert not PasswordProvider().diff("id", password, INPUTS).changes


@pytest.mark.parametrize("state", STATES)
def test_the_end_of_a_rotation_is_recorded_with_the_time_of_its_beginning(state: Props) -> None:
    finished = {"rotation": "june", "completed": "june"}
    assert RotationProvider().diff("id", state, finished).changes
    recorded = RotationProvider().update("id", state, finished).outs
    assert recorded == {**finished, "loaded": state["loaded"]}


def test_a_new_password_does_not_revoke_the_previous_one_in_the_same_update() -> None:
    both = {"rotation": "july", "completed": "july"}
    (failure,) = PasswordProvider().check(INPUTS, both).failures
    assert failure.property == "completed"
    assert "pulumi config set completedRotation june" in failure.reason
