"""What a task may do that was forked by a worker of Celery."""

import subprocess
import sys

import pytest

FORKED = """
import multiprocessing
import billiard  # Celery's own processes
from retraining.runs import allow_processes

def as_in_a_worker(answer):
    if {allowed}:
        allow_processes()
    try:
        child = multiprocessing.get_context("{method}").Process(target=int)
        child.start()
        child.join()
        answer.send(child.exitcode)
    except AssertionError as error:
        answer.send(str(error))

here, there = billiard.Pipe()
worker = billiard.get_context("fork").Process(target=as_in_a_worker, args=(there,), daemon=True)
worker.start()
print(here.recv() if here.poll(120) else 'no answer')
"""


def said(method: str, *, allowed: bool) -> str:
    script = FORKED.format(method=method, allowed=allowed)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_worker_of_celery_lets_its_children_have_none():
    assert "daemonic processes are not allowed" in said("fork", allowed=False)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_task_of_ours_may_start_processes_all_the_same(method):
    assert said(method, allowed=True) == "0"
