"""The address that is printed, and how another is had: a real command on a real terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import httpx
import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="terminals")

ON_A_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.executable, [sys.executable, '-m', 'refrestore', *sys.argv[1:]])"
)


def started(project, home, stdin):
    command = ["review", project, "--port", "0", "--no-browser", "--device", "cpu"]
    return subprocess.Popen(
        [sys.executable, "-c", ON_A_TERMINAL, *map(str, command), "--profiles-dir", str(home)]
        if stdin != subprocess.DEVNULL
        else [sys.executable, "-m", "refrestore", *map(str, command)],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def lets_in(address):
    return httpx.get(address).status_code == 303


def test_enter_prints_another_address_each_of_which_works_once(folder, tmp_path):
    ours, theirs = os.openpty()
    with started(folder, tmp_path, theirs) as process:
        first = process.stdout.readline().strip()
        assert lets_in(first)
        assert not lets_in(first)
        assert "works once" in (said := process.stderr.readline())
        assert "press Enter for another" in said
        os.write(ours, b"\n")
        second = process.stdout.readline().strip()
        assert second.split("=")[0] == first.split("=")[0]
        os.write(ours, b"\n")
        third = process.stdout.readline().strip()
        assert not lets_in(second)
        assert lets_in(third)
        process.send_signal(signal.SIGINT)
        assert "Fatal" not in process.stderr.read()
    os.close(ours)
    os.close(theirs)


def test_without_a_terminal_no_key_is_promised(folder, tmp_path):
    with started(folder, tmp_path, subprocess.DEVNULL) as process:
        assert lets_in(process.stdout.readline().strip())
        assert "start this again for another" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
