"""What `doctor` finds: whether jobs can run somewhere, check by check."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from openalign.engines import runners
from openalign.engines.doctor import preflight
from openalign.engines.doctor.check import Check
from openalign.errors import ConfigError, StageError
from openalign.files import storage


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found."""

    subject: str
    state: str
    """`ok`, `FAILS`, or `?` where this machine cannot tell."""

    found: str
    problem: str = ""
    """The problem; empty where there is none."""

    hint: str = ""


def findings(root: str, flags: Sequence[str]) -> Iterator[Finding]:
    """Yield what each check of a root and of Beam's options found, as it ends.

    Raises:
        ConfigError: the options name two runners, or a dry run.
        StageError: the root cannot be written.
    """
    if len(runners.named_runners(flags)) > 1:
        raise ConfigError("two runners are named", hint="give one, as --runner spark")
    if any(flag.startswith("--dry_run") for flag in flags):
        raise ConfigError(
            "a dry run is for a stage", hint="openalign filter NAME -- ... --dry_run=True"
        )
    is_new = storage.is_local(root) and not storage.exists(root)
    storage.check_reachable(root)
    storage.check_writable(root)
    for check in preflight.all_checks(flags, storage.absolute(root)):
        yield _finding(check)
    if is_new and storage.exists(root) and not storage.list_names(root):
        storage.remove(root)


def lines(found: Iterable[Finding]) -> Iterator[str]:
    """Yield a line or two for each finding, as it comes.

    Raises:
        StageError: a check failed.
    """
    seen: list[Finding] = []
    for each in found:
        seen.append(each)
        yield f"{each.state:6} {each.subject:13} {each.found}"
        if each.problem:
            yield f"{'':20} {each.problem}\n{'':20} hint: {each.hint}"
    require_none_failed(seen)


def require_none_failed(found: Sequence[Finding]) -> None:
    """See that no check failed.

    Raises:
        StageError: one did.
    """
    num_failed = sum(bool(each.problem) for each in found)
    if num_failed:
        raise StageError(f"jobs cannot run there: {num_failed} of the checks failed")


def _finding(check: Check) -> Finding:
    state = "FAILS" if check.problem else "?" if check.unknown else "ok"
    return Finding(
        subject=check.subject,
        state=state,
        found=check.found,
        problem=check.problem,
        hint=check.hint if check.problem else "",
    )
