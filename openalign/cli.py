"""The entry point: `openalign VERB PIPELINE`. Only this module catches errors.

Imports neither torch nor Beam; a verb imports what it needs when it runs.
"""

import os
import sys
from collections.abc import Sequence

from openalign.commands import parsing
from openalign.errors import in_words, users_mistake


def entry() -> None:
    """Run the command line and exit with its code; or tell a shell how its words may go on."""
    if "_ARGCOMPLETE" in os.environ:
        from argcomplete import autocomplete

        autocomplete(parsing.parser())
    sys.exit(main(sys.argv[1:]))


def main(argv: Sequence[str]) -> int:
    """Run one command and return its exit code.

    0 is for success, 1 for a comparison in which something got worse, 2 for a mistake that the user
    can fix, and 3 for a result that lacks what stood in damaged files of its input.
    """
    words = list(argv)
    split = words.index("--") if "--" in words else len(words)
    options = parsing.read(words[:split])
    if options.verb is None:
        parsing.parser().print_help()
        return 0
    try:
        code = options.do(options, words[split + 1 :])
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)  # noqa: T201
        return 130
    except Exception as error:
        if (mistake := users_mistake(error)) is None:
            raise
        print(in_words(mistake), file=sys.stderr)  # noqa: T201  # a run's messages go elsewhere
        return 2
    return code or 0
