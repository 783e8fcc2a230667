"""Checks of a jar that should be Beam's job server for Spark."""

import zipfile
from pathlib import Path

import apache_beam as beam

SPARK_LINE = "3"
"""The only major version of Spark that Beam's Python SDK supports."""

_RUNNER_CLASS = "org/apache/beam/runners/spark/SparkPipelineRunner.class"
_SPARK_CLASS = "org/apache/spark/SparkContext.class"
_MANIFEST = "META-INF/MANIFEST.MF"


def look_into(path: Path, *, holds_spark: bool) -> tuple[str, str]:
    """Return what a job server's jar is, and what is wrong with it.

    A jar that is sent to a cluster needs no Spark classes; one that is started here needs them.
    """
    if not path.is_file():
        return "no file", "is not there"
    try:
        with zipfile.ZipFile(path) as jar:
            return _look_into(jar, holds_spark=holds_spark)
    except (zipfile.BadZipFile, KeyError):
        return "no jar", "is no jar"
    except OSError as error:
        return "not readable", f"cannot be read: {error}"


def _look_into(jar: zipfile.ZipFile, *, holds_spark: bool) -> tuple[str, str]:
    names = set(jar.namelist())
    manifest = jar.read(_MANIFEST).decode("utf-8", "replace")
    if _RUNNER_CLASS not in names:
        if "Class-Path:" in manifest:
            return "a list of other jars", ""
        return "another jar", "is not Beam's: there is no SparkPipelineRunner in it"
    version = _property(jar, "org/apache/beam/sdk/sdk.properties", "version")
    line = _spark_line(names, _property(jar, "spark-version-info.properties", "version"))
    found = f"Beam {version or 'of unknown version'}, Spark {line}"
    if line != SPARK_LINE:
        return found, f"is for Spark {line}, not for Spark {SPARK_LINE}"
    if holds_spark and _SPARK_CLASS not in names:
        return found, "holds no class of Spark: submit it with --spark_submit_uber_jar"
    if version not in ("", beam.__version__):
        found += f" (this is Beam {beam.__version__}: take the jar of its version where you can)"
    return found, ""


def _spark_line(names: set[str], spark_version: str) -> str:
    """Return the major version of Spark that a jar was built for; Beam's oldest jars name none."""
    mark = "META-INF/maven/org.apache.beam/beam-runners-spark"
    for name in sorted(names):
        if name.startswith(mark):
            return name.removeprefix(mark).partition("/")[0].lstrip("-").partition("-")[0] or "2"
    return spark_version.partition(".")[0] or SPARK_LINE


def _property(jar: zipfile.ZipFile, name: str, key: str) -> str:
    if name not in jar.namelist():
        return ""
    lines = jar.read(name).decode("utf-8", "replace").splitlines()
    return next((line.partition("=")[2] for line in lines if line.startswith(f"{key}=")), "")
