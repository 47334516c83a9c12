"""An app whose cron task is due every two seconds."""

from project.core import AppConfig
from tests.core.probe.jobs import often

config = AppConfig(label="ticking", title="Ticking", cron=[often])
