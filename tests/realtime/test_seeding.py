"""The demo room comes once, and finds its people and messages again wherever it is loaded."""

import json

import pytest

from apps.accounts.app import config as accounts
from apps.realtime.app import config as realtime
from project.core.db.fixtures.kinds import all_kinds
from project.core.testing.plugin import Manage

pytestmark = pytest.mark.any_database


def test_a_rooms_rows_come_after_its_people_and_are_known_by_natural_keys() -> None:
    kinds = all_kinds([realtime, accounts])
    assert [*kinds].index("accounts.user") < [*kinds].index("realtime.room") < [*kinds].index("realtime.message")
    assert kinds["realtime.room"].natural_key == ("slug",)
    assert kinds["realtime.message"].natural_key == ("room_id", "number")


def test_the_demo_room_is_added_once_and_moves(manage: Manage) -> None:
    assert "realtime: messages added: 3" in manage("seed", DEBUG=True).output
    dumped = manage("dumpdata", "realtime", "--natural-foreign", "--natural-primary").stdout
    messages = [row["fields"] for row in json.loads(dumped) if row["model"] == "realtime.message"]
    assert [row["room_id"] for row in messages] == [["welcome"]] * 3
    assert manage("loaddata", "-", input=dumped).exit_code == 0
    assert manage("dumpdata", "realtime", "--natural-foreign", "--natural-primary").stdout == dumped
