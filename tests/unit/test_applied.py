from __future__ import annotations

import pulumi
import pytest

from infra.errors import ProvisioningError
from infra.targets.applied import in_one_line


def test_our_errors_are_told_in_one_line() -> None:
    def fail(_known: object) -> None:
        raise ProvisioningError("there is no endpoint", fix="pulumi up --refresh")

    with pytest.raises(pulumi.RunError, match="no endpoint -> pulumi up --refresh") as caught:
        in_one_line(fail)(None)
    assert caught.value.__suppress_context__
    assert in_one_line(str)(5) == "5"


def test_a_defect_keeps_its_traceback() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        in_one_line(int)("a")
