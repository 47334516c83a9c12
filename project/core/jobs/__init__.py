"""Jobs: what was committed will run, what was rolled back never will, and each effect happens once.

table       the rows, which are the truth
declaring   @job and @cron on plain functions
queue       enqueue, cancel and retry in a unit of work of yours
claiming    the statements by which workers share the rows
running     one claimed row: its transactions, its progress
executor    a process's part of the work: claim, run, renew leases, sweep, tick
embedded    the loop inside a web process without Redis
mailing     mail that is sent once its unit of work has committed
worker      arq's Worker with the table as its store
"""

from project.core.jobs.declaring import GiveUp, cron, job
from project.core.jobs.queue import cancel, enqueue, retry
from project.core.jobs.running import Running
from project.core.jobs.table import Job, State

__all__ = ["GiveUp", "Job", "Running", "State", "cancel", "cron", "enqueue", "job", "retry"]
