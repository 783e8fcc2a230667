"""A rank that does as it is told: `python -m toy_rank 0=say:hello,exit:0 1=sleep`.

It may say, exit, kill itself, sleep for ever under a file that bears its process id, and tell how
far it is.
"""

import os
import signal
import sys
import time
from pathlib import Path

from openalign.progress import display_of
from openalign.train.local_ranks import end_with_starter


def main() -> None:
    end_with_starter()
    mine = f"{os.environ['RANK']}="
    (orders,) = (word.removeprefix(mine) for word in sys.argv[1:] if word.startswith(mine))
    for order in orders.split(","):
        verb, _, argument = order.partition(":")
        match verb:
            case "say":
                sys.stderr.write(f"{argument}\n")
            case "environment":
                sys.stdout.write(f"{argument}={os.environ.get(argument)}\n")
            case "exit":
                sys.exit(int(argument))
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "progress":
                display_of("evaluate", total=10, unit="embedding").show(int(argument), "")
            case "sleep":
                Path(argument, f"{os.getpid()}.pid").touch()
                while True:
                    time.sleep(60)
            case _:
                raise AssertionError(order)


if __name__ == "__main__":
    main()
