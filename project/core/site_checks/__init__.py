"""The framework's own system checks; core.E… are errors, core.W… warnings, core.I… notes, from 100 on for --deploy.

settings asks what is set, machine what lies on the disk; database and redis connect as the site would; answers
starts the site and looks at what it really sends.
"""

from project.core.checks import Check
from project.core.site_checks.answers import what_it_answers
from project.core.site_checks.database import what_the_database_says
from project.core.site_checks.machine import everywhere, files
from project.core.site_checks.redis import what_redis_says
from project.core.site_checks.settings import in_production, parts_in_one_process

CORE_CHECKS: list[Check] = [
    everywhere,
    parts_in_one_process,
    in_production,
    files,
    what_the_database_says,
    what_redis_says,
    what_it_answers,
]
