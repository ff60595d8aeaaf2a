"""Programs of the stack start in sessions of their own and end with all they started."""

import json
import socket
import sys
import time

import psutil  # type: ignore[import-untyped]
import pytest

from ml.embedded.processes import Program, free_port
from ml.errors import TransientError

PARENT = """
import subprocess, sys, time
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", deaf])
time.sleep(600)
"""


@pytest.fixture
def program(tmp_path):
    program = Program("sleeper", tmp_path)
    yield program
    program.stop(grace_s=0.1)


def start(program, code):
    program.start([sys.executable, "-u", "-c", code], {})


def test_a_second_start_keeps_the_first_process(program):
    start(program, "import time; time.sleep(600)")
    pid = program.pid
    start(program, "import time; time.sleep(600)")
    assert program.pid == pid


def test_stop_ends_children_that_ignore_the_polite_signal(program):
    start(program, PARENT)
    program.wait_until(lambda: "up" in program.log.read_text(), timeout_s=30)
    family = [psutil.Process(program.pid), *psutil.Process(program.pid).children()]
    assert len(family) == 2
    program.stop(grace_s=0.2)
    assert not [process for process in family if process.is_running()]
    assert program.pid is None


def test_stop_ends_children_whose_parent_was_killed(program):
    start(program, PARENT)
    program.wait_until(lambda: "up" in program.log.read_text(), timeout_s=30)
    leader = psutil.Process(program.pid)
    orphan = leader.children()[0]
    leader.kill()
    leader.wait(10)
    program.stop(grace_s=0.2)
    assert not orphan.is_running()


def test_another_command_can_stop_it(program, tmp_path):
    start(program, "import time; time.sleep(600)")
    Program("sleeper", tmp_path).stop(grace_s=1)
    assert program.pid is None


def test_a_number_that_belongs_to_somebody_else_is_not_stopped(program, tmp_path):
    (tmp_path / "run").mkdir()
    stranger = psutil.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        (tmp_path / "run" / "sleeper.json").write_text(json.dumps({"pid": stranger.pid, "started": time.time() - 1000}))
        assert program.pid is None
        program.stop(grace_s=0.1)
        assert stranger.is_running() and stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_program_that_dies_while_starting_tells_the_end_of_its_log(program):
    start(program, "import sys; sys.exit('the disk is made of cheese')")
    with pytest.raises(TransientError, match=r"sleeper has ended(.|\n)*the disk is made of cheese"):
        program.wait_until(lambda: False, timeout_s=30)


def test_a_program_that_is_never_ready_is_told(program):
    start(program, "import time; print('waiting for godot'); time.sleep(600)")
    program.wait_until(lambda: "godot" in program.log.read_text(), timeout_s=30)
    with pytest.raises(TransientError, match=r"was not ready after 0 s(.|\n)*waiting for godot"):
        program.wait_until(lambda: False, timeout_s=0.2)


def test_only_its_own_port_counts_as_listening(program):
    start(program, "import socket, time; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1]); time.sleep(600)")
    program.wait_until(lambda: program.log.read_text().endswith("\n"), timeout_s=30)
    assert program.listens(int(program.log.read_text()))
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        assert not program.listens(stranger.getsockname()[1])


def test_run_tells_a_status_other_than_0(program):
    with pytest.raises(TransientError, match=r"ended with status 3(.|\n)*no luck"):
        program.run([sys.executable, "-c", "import sys; print('no luck'); sys.exit(3)"], {})


def test_a_taken_port_is_passed_over():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        assert free_port(number) != number
    assert free_port(number) == number
