from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from esr1call.formats import multiqc
from tests.formats.builders import batch_quality, batch_results

READS = {"P1-V1": {"counted": 10, "low_mapq": 2}}


def files() -> dict[str, Any]:
    quality = json.loads(json.dumps(asdict(batch_quality())))
    return {k.removeprefix("esr1call_").removesuffix("_mqc.json"): v
            for k, v in multiqc.files(batch_results(), quality, READS).items()}  # fmt: skip


def test_every_file_says_what_it_is() -> None:
    for name, content in files().items():
        assert content["id"] == f"esr1call_{name}"
        assert content["plot_type"] in ("generalstats", "table", "bargraph", "linegraph")
        assert set(content["data"]) if name != "general" else content["headers"]


def test_statistics_of_each_sample() -> None:
    found = files()["general"]["data"]
    assert list(found) == [r.sample for r in batch_results()]
    assert found["P1-V2"]["variants"] == 5
    assert found["P1-V2"]["highest_vaf"] == 1.0
    assert found["NTC-1"] == {"variants": 0, "molecules": 0}


def test_checks_of_samples_and_of_the_batch() -> None:
    found = files()["checks"]["data"]
    assert [(k, v["outcome"]) for k, v in found.items()] == [("001 NTC-1", "failed"), ("002 batch", "not_assessed")]


def test_text_is_escaped() -> None:
    content = files()
    assert content["checks"]["data"]["001 NTC-1"]["explanation"] == (
        "&lt;script&gt;alert(1)&lt;/script&gt; &amp; 4 &gt; 3"
    )
    assert "<script" not in json.dumps(content)


def test_what_is_not_known_is_left_out() -> None:
    found = files()
    assert found["yield"]["data"]["NTC-1"] == {"molecules": 0.0}
    assert found["yield"]["data"]["P1-V1"]["duplex_yield"] == 27.0
    assert found["fragments"]["data"] == {"P1-V1": {0: 0, 10: 3, 20: 9, 30: 4}}
    assert found["reads"]["data"] == READS
