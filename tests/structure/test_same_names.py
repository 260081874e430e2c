"""Names that controller and processing share, each defined once in either."""

from __future__ import annotations

from controller.model.count_verdict import CountVerdict, Trust
from controller.model.fusion_rules import FusionRule
from controller.model.sections.processing import Processing
from processing import ProcessSettings
from processing.results import FusionRule as RuleOfProcessing
from processing.results import Trust as TrustOfProcessing
from processing.results import Verdict


def test_fusion_rules_have_the_same_names() -> None:
    assert {rule.name: rule.value for rule in FusionRule} == {
        rule.name: rule.value for rule in RuleOfProcessing
    }


def test_verdicts_have_the_same_states_and_fields() -> None:
    assert {state.name: state.value for state in Trust} == {
        state.name: state.value for state in TrustOfProcessing
    }
    assert set(CountVerdict.model_fields) == set(Verdict.model_fields)


def test_every_processing_setting_of_a_protocol_is_one_of_processing() -> None:
    protocol, settings = (
        Processing().model_dump(mode="json"),
        ProcessSettings().model_dump(mode="json"),
    )
    assert {name: settings[name] for name in protocol} == protocol
