from __future__ import annotations

import pulumi
import pytest

from infra.errors import ProvisioningError
from infra.targets.output_errors import as_run_error


def test_own_errors_are_reported_in_one_line() -> None:
    def fail(_known: object) -> None:
        raise ProvisioningError("there is no endpoint", fix="pulumi up --refresh")

    with pytest.raises(pulumi.RunError, match="no endpoint -> pulumi up --refresh") as caught:
        as_run_error(fail)(None)
    assert caught.value.__suppress_context__
    assert as_run_error(str)(5) == "5"


def test_a_defect_keeps_its_traceback() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        as_run_error(int)("a")
