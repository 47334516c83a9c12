"""What hangs on the Runtime: an app's own resource, found by its class."""

import gc

import pytest

from project.core.errors import ConfigurationError
from project.core.runtime import Runtime
from project.core.testing.plugin import MakeSettings


class Telescope:
    """Something outside."""


class ToyTelescope(Telescope):
    """What a test puts in its place."""


def test_what_was_provided_is_found_by_its_class(make_settings: MakeSettings) -> None:
    runtime = Runtime(make_settings())
    with pytest.raises(ConfigurationError, match="No installed app provides Telescope"):
        runtime.find(Telescope)
    runtime.provide(Telescope, Telescope())
    runtime.provide(Telescope, toy := ToyTelescope())
    assert runtime.find(Telescope) is toy


async def test_what_is_loaded_when_it_opens_is_out_of_the_collectors_sight(make_settings: MakeSettings) -> None:
    async with Runtime(make_settings()):
        assert gc.get_freeze_count() > 10_000
    assert gc.get_freeze_count() == 0
