"""Conditions for the start of a stage: contact, libraries, a writable root, a runner.

Every check comes before anything is written.
"""

import importlib.util
from collections.abc import Iterator

from openalign.errors import ConfigError, MissingExtraError, StageError
from openalign.files import storage
from openalign.run.contract import Run, Stage


def require(run: Run, stage: Stage) -> None:
    """Check that a stage can start.

    Raises:
        ConfigError: it asks the web and names no contact, or an option is not one of Beam's.
        InputError: what names the certificates to trust names none.
        MissingExtraError: one of its libraries is not installed.
        StageError: the root cannot be written, or the runner cannot take its jobs.
    """
    require_contact(run, stage)
    require_certificates(run, stage)
    require_libraries(stage)
    storage.check_writable(run.config.root)
    if run.beam_options and stage.takes_beam_options:
        _require_runner(run, stage)


def require_contact(run: Run, stage: Stage) -> None:
    """Check that a stage that asks the web names a contact.

    Raises:
        ConfigError: there is no contact.
    """
    web = stage.web(run.config)
    if web is not None and not web.contact:
        raise ConfigError(
            "`web.contact` must be set before the web is asked",
            hint="name an e-mail address or a URL where a host's owner can reach you: write `web: "
            "{contact: crawler@example.org}` into the pipeline, or add --set "
            "web.contact=crawler@example.org",
        )


def require_certificates(run: Run, stage: Stage) -> None:
    """Check the certificates that a stage tells hosts by, where a setting or a variable names them.

    Raises:
        InputError: there is none in what is named.
    """
    web = stage.web(run.config)
    if web is not None:
        from openalign.ingest.web.transfers.certificates import trusted

        trusted(web.ca_file)


def require_libraries(*stages: Stage) -> None:
    """Look for the libraries of stages.

    Raises:
        MissingExtraError: some are not installed; it names them all, and one command.
    """
    missing = {
        library: stage.extra
        for stage in stages
        for library in stage.needs
        if importlib.util.find_spec(library) is None
    }
    if missing:
        raise MissingExtraError(list(missing), list(dict.fromkeys(missing.values())))


def is_dry_run(run: Run, stage: Stage) -> bool:
    """Tell whether a stage's Beam jobs are only built and checked.

    Raises:
        ConfigError: an option is not one of Beam's, or a stage cannot run with it.
    """
    if not run.beam_options or not stage.takes_beam_options:
        return False
    require_libraries(stage)
    from openalign.engines import runners

    if not runners.is_dry_run(run.beam_options):
        return False
    runners.check_options(run.beam_options)
    if stage.jobs is None:
        raise ConfigError(
            f"a dry run of {stage.name} is not offered: it is more than its Beam job",
            hint=f"try another stage: openalign select {run.config.name} -- --dry_run=True",
        )
    return True


def dataflow_problems(run: Run) -> Iterator[str]:
    """Yield the reasons to refuse a real run on Dataflow, as far as this machine can check."""
    from openalign.engines.doctor import preflight

    for check in preflight.dataflow_checks(run.beam_options, storage.absolute(run.config.root)):
        if check.problem:
            yield f"{check.problem} ({check.hint})"


def _require_runner(run: Run, stage: Stage) -> None:
    from openalign.engines import runners
    from openalign.engines.doctor import preflight

    runners.check_options(run.beam_options)
    if (
        run.config.site is not None
        and stage.web(run.config) is not None
        and preflight.is_remote(run.beam_options)
    ):
        raise StageError(
            f"{run.config.name} serves its own site on this machine's loopback device, where "
            "remote workers cannot ask it",
            hint="run this stage here, or on a cluster of this machine",
        )
    preflight.require(run.beam_options, storage.absolute(run.config.root))
