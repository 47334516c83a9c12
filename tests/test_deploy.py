"""The files of project/deploy name what there is: commands, settings, folders and addresses of this project."""

import re
from pathlib import Path

import pytest

from project.core.conf import ROOT
from project.core.management.catalogue import CORE
from project.core.metrics import figures
from project.settings import Settings

FOLDER = ROOT / "project" / "deploy"
FILES = sorted(path for path in FOLDER.rglob("*") if path.is_file())
OTHERS = {"MANAGE_NO_BOOTSTRAP", "SITE_HOST", "SITE_UPSTREAM", "PATH", "PYTHONUNBUFFERED"}  # no settings of the site's
OTHERS |= {"PIP_DISABLE_PIP_VERSION_CHECK", "PIP_NO_CACHE_DIR"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_command_there_is_one_of_ours(path: Path) -> None:
    named = set(re.findall(r"manage\.py[\",]*\s+\"?([a-z]+)", path.read_text()))
    assert named <= set(CORE)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_variable_there_is_a_setting(path: Path) -> None:
    given = set(re.findall(r"(?:^|[\s=])(?:ENV )?([A-Z]+(?:_[A-Z]+)+)[=:](?![/-])", path.read_text(), re.M))
    postgres = {name for name in given if name.startswith("POSTGRES_")}
    assert given - postgres - OTHERS <= set(Settings.model_fields)


def test_the_image_is_built_of_what_is_there_and_run_by_nobody_special() -> None:
    lines = (FOLDER / "Dockerfile").read_text().splitlines()
    copied = [line.split()[1] for line in lines if line.startswith("COPY ") and "--from" not in line]
    assert all((ROOT / each).exists() for each in copied)
    last = lines[max(index for index, line in enumerate(lines) if line.startswith("FROM")) :]
    assert "USER site" in last
    assert "--require-hashes" in "\n".join(lines)
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".env", ".data", ".git"} <= set(ignored)


def test_the_alerts_ask_for_metrics_that_there_are() -> None:
    rules = (FOLDER / "prometheus" / "alerts.yml").read_text().split("- alert: ")[1:]
    asked = {name for rule in rules for name in re.findall(r"uptempo_\w+", rule)}
    told = {header.split()[2] for header in [*figures(), *figures("web:here:1")]}
    assert {name.removesuffix("_bucket") for name in asked} <= told
    assert {"LoopLag", "LoopStalls", "ErrorRate", "QueueAge", "WorkerGone", "DiskFull"} <= {
        rule.split()[0] for rule in rules
    }
    for rule in rules:
        assert re.search(r"expr: .*severity: (page|ticket) .*summary: ", rule, re.S), rule


def test_prometheus_is_told_of_the_alerts_and_of_the_address() -> None:
    told = (FOLDER / "prometheus" / "prometheus.yml").read_text()
    assert [(FOLDER / "prometheus" / name).exists() for name in re.findall(r"rule_files: \[(.+)\]", told)] == [True]
    assert "metrics_path: /metrics\n" in told


def test_a_process_is_given_longer_to_stop_than_it_takes() -> None:
    from project.core.management.serve import GRACE_SECONDS

    compose = (FOLDER / "compose.yaml").read_text()
    drain = Settings.model_fields["DRAIN_SECONDS"].default
    web, worker = map(int, re.findall(r"stop_grace_period: (\d+)s", compose))
    unit = (FOLDER / "systemd" / "uptempo-web.service").read_text()
    assert min(web, int(re.findall(r"TimeoutStopSec=(\d+)", unit)[0])) >= drain + GRACE_SECONDS + 5
    assert worker > Settings.model_fields["WORKER_GRACE"].default


def test_a_release_is_migrated_before_it_is_served_and_a_process_that_stops_speaks_for_itself_only() -> None:
    unit = (FOLDER / "systemd" / "uptempo-web.service").read_text()
    for when, served in (("ExecStartPre", "ExecStart=.*serve"), ("ExecReload", "ExecReload=.*HUP")):
        for command in ("migrate", "collectstatic"):
            assert re.search(rf"^{when}=.*manage\.py {command}\b.*\n(.*\n)*^{served}", unit, re.M), (when, command)
    compose = (FOLDER / "compose.yaml").read_text()
    assert "migrate: { condition: service_completed_successfully }" in compose
    assert ("health_uri /health/live" in (FOLDER / "Caddyfile").read_text()) is ("DRAIN_SECONDS" not in compose)
