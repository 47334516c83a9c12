"""300 jobs on two workers, one of them arq's own command; 20 times one is killed (-9) and replaced at once.

Run by hand: .venv/bin/python -m tests.faults.kills
"""

import asyncio
import random
from signal import SIGKILL

from tests.faults.lab import DONE, RUNNING, keys, lab, until
from tests.faults.report import Report, run

COUNT = 300
KILLS = 20
LONGEST_PAUSE = 4


async def kills(report: Report) -> None:
    """300 jobs of 0.2 to 2 s, two workers, 20 kills at random moments."""
    async with lab("postgresql", redis=True, WORKER_CONCURRENCY="5") as one:
        names = keys(COUNT)
        await one.enqueue("probe.mark", *({"key": key, "seconds": random.uniform(0.2, 2)} for key in names))
        workers = [await one.worker(), await one.worker(arq=True)]
        await until(lambda: one.any(DONE), 45)
        cut = 0
        for _ in range(KILLS):
            await asyncio.sleep(random.uniform(0.1, LONGEST_PAUSE))
            holders = [job.worker.split(":")[2] for job in await one.jobs(RUNNING)]
            held = [holders.count(str(worker.pid)) for worker in workers]
            victim = random.choice([number for number in (0, 1) if held[number]] or [0, 1])
            cut += held[victim]
            await workers[victim].end(SIGKILL)
            workers[victim] = await one.worker(arq=victim == 1)
        report.note("jobs cut short by the 20 kills", cut)
        report.note("jobs left at the last kill", COUNT - await one.count(DONE))
        seconds = await one.until_ended(120)
        report.at_most("all done after the last kill", 60, seconds)
        report.equal("done", COUNT, await one.count(DONE))
        report.note("most deaths of one job", max(job.deaths for job in await one.jobs()))
        await one.demand_each_once(report, names)


if __name__ == "__main__":
    run(kills)
