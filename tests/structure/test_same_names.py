"""Names that controller and processing share, each defined once in either."""

from __future__ import annotations

from controller.model.fusion_rules import FusionRule
from controller.model.protocol import Processing
from processing import ProcessSettings
from processing.results import FusionRule as RuleOfProcessing


def test_fusion_rules_have_the_same_names() -> None:
    assert {rule.name: rule.value for rule in FusionRule} == {
        rule.name: rule.value for rule in RuleOfProcessing
    }


def test_every_processing_setting_of_a_protocol_is_one_of_processing() -> None:
    protocol, settings = (
        Processing().model_dump(mode="json"),
        ProcessSettings().model_dump(mode="json"),
    )
    assert {name: settings[name] for name in protocol} == protocol
