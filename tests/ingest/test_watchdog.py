"""The watchdog as a process sees it: names, threads, and the end."""

import signal
import subprocess
import sys
import textwrap

import pytest

LIMIT_SECONDS = 0.5


def run(work: str) -> subprocess.CompletedProcess[str]:
    head = f"""
        import time
        from openalign.ingest.watchdog import Watchdog
        watchdog = Watchdog({LIMIT_SECONDS})
    """
    script = textwrap.dedent(head) + textwrap.dedent(work)
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "hang",
    ["time.sleep(600)", "import re; re.fullmatch('(a|a)*b', 'a' * 64)"],
    ids=["waiting", "in C, with Python's lock held"],
)
def test_work_that_hangs_ends_its_process_and_is_named(hang: str) -> None:
    done = run(f"""
        with watchdog.watched("http://site.example/quick"):
            pass
        with watchdog.watched("http://site.example/slow"):
            {hang}
    """)

    assert done.returncode == -signal.SIGKILL
    assert "http://site.example/slow" in done.stderr
    assert "quick" not in done.stderr


def test_work_that_ends_in_time_is_left_alone_however_much_there_is() -> None:
    done = run(f"""
        end = time.monotonic() + 3 * {LIMIT_SECONDS}
        while time.monotonic() < end:
            with watchdog.watched("http://site.example/"):
                pass
        time.sleep(2 * {LIMIT_SECONDS})
        watchdog.close()
        print("done")
    """)

    assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 0)


def test_each_thread_has_its_own_work() -> None:
    done = run("""
        import threading
        def hang():
            with watchdog.watched("http://site.example/slow"):
                time.sleep(600)
        threading.Thread(target=hang).start()
        while True:
            with watchdog.watched("http://site.example/quick"):
                pass
    """)

    assert done.returncode == -signal.SIGKILL
    assert "reading http://site.example/slow has" in done.stderr


def test_a_watchdog_that_somebody_ended_is_an_error() -> None:
    done = run("""
        from openalign.errors import StageError
        watchdog._process.kill()
        watchdog._process.wait()
        try:
            with watchdog.watched("http://site.example/"):
                pass
        except StageError as error:
            print(error)
    """)

    assert "the process that watches over pages was ended" in done.stdout
