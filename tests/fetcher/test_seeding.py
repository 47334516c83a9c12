"""The demo batch comes once, for Ann."""

import json

import pytest

from project.core.testing.plugin import Manage

pytestmark = pytest.mark.any_database


def test_the_demo_batch_is_added_where_ann_is(manage: Manage) -> None:
    assert "fetcher: batches added: 0" in manage("seed", "fetcher", DEBUG=True).output
    assert "fetcher: batches added: 1" in manage("seed", DEBUG=True).output
    rows = [row["fields"] for row in json.loads(manage("dumpdata", "fetcher.Batch").stdout)]
    assert [(row["title"], row["status"], row["total"]) for row in rows] == [("A first look", "done", 4)]
