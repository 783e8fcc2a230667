"""What `doctor` finds: whether jobs can run somewhere, check by check."""

from collections.abc import Iterator, Sequence

from openalign.engines import runners
from openalign.engines.doctor import preflight
from openalign.errors import ConfigError, StageError
from openalign.files import storage


def lines(root: str, flags: Sequence[str]) -> Iterator[str]:
    """Yield a line or two for each check of a root and of Beam's options, as it ends.

    Raises:
        ConfigError: the options name two runners, or a dry run.
        StageError: a check failed.
    """
    if len(runners.named_runners(flags)) > 1:
        raise ConfigError("two runners are named", hint="give one, as --runner spark")
    if any(flag.startswith("--dry_run") for flag in flags):
        raise ConfigError(
            "a dry run is for a stage", hint="openalign filter NAME -- ... --dry_run=True"
        )
    num_failed, is_new = 0, storage.is_local(root) and not storage.exists(root)
    storage.check_reachable(root)
    storage.check_writable(root)
    for check in preflight.all_checks(flags, storage.absolute(root)):
        word = "FAILS" if check.problem else "?" if check.unknown else "ok"
        yield f"{word:6} {check.subject:13} {check.found}"
        if check.problem:
            num_failed += 1
            yield f"{'':20} {check.problem}\n{'':20} hint: {check.hint}"
    if is_new and storage.exists(root) and not storage.list_names(root):
        storage.remove(root)
    if num_failed:
        raise StageError(f"jobs cannot run there: {num_failed} of the checks failed")
