from __future__ import annotations

import dataclasses
import json

import pytest

from esr1call.results import CallStatus, SampleStatus
from tests.builders import sample_result, variant_call


@pytest.mark.parametrize("status", [*CallStatus, *SampleStatus])
def test_a_status_is_written_as_its_name(status: CallStatus | SampleStatus) -> None:
    assert f"{status}" == status.name
    assert json.loads(json.dumps(status)) == status.name
    assert type(status)(status.name) is status


def test_a_result_is_plain_data_that_json_can_hold() -> None:
    result = sample_result(calls=[variant_call()], reasons=("a reason",))
    again = json.loads(json.dumps(dataclasses.asdict(result), allow_nan=False))
    assert again["status"] == "DETECTED"
    assert again["calls"][0]["alt_by_stratum"] == [0, 0, 25, 25, 0]


def test_results_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        sample_result().status = SampleStatus.DETECTED  # type: ignore[misc]
    assert variant_call() == variant_call()
    assert hash(variant_call()) == hash(variant_call())
