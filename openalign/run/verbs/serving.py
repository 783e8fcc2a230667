"""Serves the demo's own site while the stages of a run ask the web."""

from collections.abc import Generator
from contextlib import contextmanager

from openalign.errors import StageError
from openalign.files import storage
from openalign.run.contract import Run


@contextmanager
def served_site(run: Run) -> Generator[dict[str, str]]:
    """Serve the pipeline's site while the block runs; yield how its host is reached.

    The mapping is empty for a pipeline without a site. The site outlives the jobs that ask it: the
    block ends after them.

    Raises:
        StageError: the run's root is no local folder, or the server did not start.
    """
    if run.config.site is None:
        yield {}
        return
    from openalign.demo import server, website

    www = storage.join(run.folder("site").url, "www")
    if not storage.is_local(www):
        raise StageError(
            f"{run.config.root} is not a local folder",
            hint="a pipeline that serves its own site needs one",
        )
    with server.serve(str(storage.local_path(www)), host=website.HOST) as connect_to:
        yield connect_to
