"""MATLAB's `.mat` files, in which Flowers, Cars and ImageNet's devkit are annotated."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openalign.errors import InputError, MissingExtraError
from openalign.files import storage

EXTRA = "mat"


def read_mat(url: str, key: str, *, form: str) -> NDArray[Any]:
    """Return a variable of a `.mat` file as an array with one axis, also where it has one value.

    Raises:
        InputError: the file is not there, is none of MATLAB's, or has no such variable.
        MissingExtraError: scipy is not installed.
    """
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise MissingExtraError("scipy", EXTRA) from error
    content = storage.read_bytes(url)
    try:
        found = loadmat(io.BytesIO(content), squeeze_me=True)
    except Exception as error:  # it raises anything over broken bytes
        raise InputError(f"{url}: is no .mat file that can be read: {error}", hint=form) from error
    if key not in found:
        keys = ", ".join(sorted(name for name in found if not name.startswith("__")))
        raise InputError(f"{url}: has no variable `{key}`, but {keys or 'none'}", hint=form)
    return np.atleast_1d(found[key]).reshape(-1)


def column(url: str, records: NDArray[Any], name: str, *, form: str) -> list[Any]:
    """Return a field of each record of a struct array.

    Raises:
        InputError: the records have no such field.
    """
    fields = records.dtype.names or ()
    if name not in fields:
        raise InputError(
            f"{url}: its records have no field `{name}`, but {', '.join(fields) or 'none'}",
            hint=form,
        )
    return records[name].tolist()
