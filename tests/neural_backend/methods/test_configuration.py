# SPDX-License-Identifier: GPL-3.0-or-later
import json
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

import pytest

from neural_backend.methods.configuration import apply_settings, config_from_dict, for_case
from neural_backend.methods.limits import Limits, limits_of
from neural_backend.protocol.errors import JobError


@dataclass(frozen=True)
class Example:
    steps: int = 100
    rate: float = 0.5
    fast: bool = True
    name: str = "x"
    kind: Literal["cube", "ball"] = "cube"
    levels: tuple[int, ...] = (1, 2)
    corner: tuple[float, float, float] = (0.0, 0.0, 0.0)
    limit: float | None = None


def test_a_configuration_survives_json():
    config = Example(steps=3, levels=(4, 5, 6), corner=(1.0, 2.0, 3.0), limit=2.0, kind="ball")
    assert config_from_dict(Example, json.loads(json.dumps(asdict(config)))) == config
    assert config_from_dict(Example, {}) == Example()


@pytest.mark.parametrize(
    ("setting", "field", "value"),
    [
        ("steps=7", "steps", 7),
        (" steps = 7 ", "steps", 7),
        ("rate=1e-3", "rate", 0.001),
        ("rate=2", "rate", 2.0),
        ("fast=false", "fast", False),
        ("fast=Yes", "fast", True),
        ("name=a=b", "name", "a=b"),
        ("name=7", "name", "7"),
        ("kind=ball", "kind", "ball"),
        ("levels=3,4,5", "levels", (3, 4, 5)),
        ("levels=", "levels", ()),
        ("corner=1,2.5,-3", "corner", (1.0, 2.5, -3.0)),
        ("limit=3", "limit", 3.0),
        ("limit=none", "limit", None),
    ],
)
def test_settings_are_read_as_their_field_has_them(setting, field, value):
    changed = getattr(apply_settings(Example(limit=1.0), [setting]), field)
    assert changed == value
    assert type(changed) is type(value)


def test_later_settings_win():
    assert apply_settings(Example(), ["steps=1", "rate=2", "steps=3"]) == Example(steps=3, rate=2.0)


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("steps", "not of the form name=value"),
        ("speed=3", r"no setting 'speed'.*steps, rate, fast"),
        ("steps=1.5", "steps must be int, got '1.5'"),
        ("steps=true", "steps must be int"),
        ("rate=quick", "rate must be float"),
        ("fast=7", "fast must be bool"),
        ("kind=cone", r"kind must be .*cube.*ball"),
        ("levels=1,b", "levels must be"),
        ("corner=1,2", "corner must be"),
        ("limit=much", "limit must be"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused(setting, complaint):
    with pytest.raises(JobError, match=complaint):
        apply_settings(Example(), [setting])


@pytest.mark.parametrize(
    "values",
    [{"steps": True}, {"steps": 1.0}, {"rate": "1"}, {"kind": "cone"}, {"levels": 3}, {"new": 1}],
)
def test_values_of_another_version_are_refused(values):
    with pytest.raises(JobError, match=f"{next(iter(values))}"):
        config_from_dict(Example, values)


def test_a_case_puts_its_own_settings_in_the_place_of_the_usual_ones():
    @dataclass(frozen=True)
    class Cases:
        rate: float = 1.0
        rate_far: float = 0.5
        steps: int = 3
        steps_near: int = 9

    assert for_case(Cases(rate_far=0.25), "far") == Cases(rate=0.25, rate_far=0.25)
    assert for_case(Cases(), "elsewhere") == Cases()


@dataclass(frozen=True)
class Limited:
    width: Annotated[int, Limits(16, 256, multiple_of=16)] = 64
    share: Annotated[float, Limits(0.0, below=1.0)] = 0.5
    levels: Annotated[tuple[int, ...], Limits(4, 10**9)] = (8, 16)
    limit: Annotated[float, Limits(0.25, 2.0)] | None = None
    fast: bool = True

    def __post_init__(self) -> None:
        if self.levels[0] > self.width:
            raise ValueError(f"levels must begin below width, got {self.levels} and {self.width}")


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("width=17", "width must be a multiple of 16 from 16 to 256, got 17. Its usual value is"),
        ("width=0", "width must be a multiple of 16 from 16 to 256, got 0. Its usual"),
        ("width=272", "width must be a multiple of 16 from 16 to 256, got 272. "),
        ("share=1", "share must be from 0 to less than 1, got 1.0. Its usual value is 0.5."),
        ("share=-1e-9", "share must be from 0 to less than 1, got -1e-09."),
        ("share=nan", "share must be from 0 to less than 1, got nan."),
        ("levels=8,3", "levels must be from 4 to 1000000000, got 3. Its usual value is 8,16."),
        ("limit=0.2", "limit must be from 0.25 to 2, got 0.2. Its usual value is None."),
        ("levels=80", "levels must begin below width, got (80,) and 64. Change one of these "),
    ],
)  # fmt: skip
def test_a_setting_that_makes_no_sense_is_refused_in_a_sentence(setting, sentence):
    with pytest.raises(JobError) as refused:
        apply_settings(Limited(), [setting])
    assert str(refused.value).startswith(sentence)
    name, _, value = setting.partition("=")
    given = [json.loads(part) if part != "nan" else float(part) for part in value.split(",")]
    with pytest.raises(JobError) as refused:
        config_from_dict(Limited, {name: given if name == "levels" else given[0]})
    assert str(refused.value).startswith(sentence)


def test_a_setting_within_its_limits_is_taken():
    settings = ["width=256", "share=0.999", "levels=4,1000000000", "limit=2", "fast=no"]
    expected = Limited(256, 0.999, (4, 10**9), 2.0, False)
    assert apply_settings(Limited(), settings) == expected
    assert config_from_dict(Limited, json.loads(json.dumps(asdict(expected)))) == expected
    assert apply_settings(expected, ["limit=none"]).limit is None


def test_limits_are_those_of_numbers_alone():
    assert limits_of(Limited).keys() == {"width", "share", "levels", "limit"}
    assert limits_of(Example) == {}
