"""Errors that a user can mend, and the wrapper that turns them into one line and an exit code."""

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ['EXIT_DATA', 'EXIT_USAGE', 'DataError', 'UsageError', 'config_errors', 'describe_error', 'run_tool']

EXIT_USAGE = 2
EXIT_DATA = 1
EXIT_INTERRUPTED = 130  # 128 and the number of SIGINT, as shells count

TRACEBACK = 'LAVIDA_MM_TRACEBACK'  # set it to see where an error comes from

CONFIG_ERRORS = (ValueError, TypeError, KeyError, AttributeError, ImportError, AssertionError, SyntaxError)


class UsageError(ValueError):
    """An option or a config value breaks a rule. The message names the field, the value and the rule."""


class DataError(ValueError):
    """A file of the user's is missing, broken or at odds with another. The message names file, field and rule."""


def describe_error(error: BaseException) -> str:
    """The message of an error as one line.

    Args:
        error: any exception. The message of a KeyError loses the quotes that Python puts around it, an OSError
            says its file and reason without the error number.
    """
    if isinstance(error, OSError) and error.strerror:
        text = f'{error.filename}: {error.strerror}' if error.filename else error.strerror
    elif isinstance(error, KeyError) and len(error.args) == 1:
        text = str(error.args[0])
    else:
        text = str(error)
    if 'Original Traceback' in text:  # torch hands an error of a data loader's worker on with all its lines
        text = re.sub(r'^[\w.]+: ', '', text.strip().splitlines()[-1])
    return ' '.join(text.split()) or type(error).__name__


def find_cause(
    error: BaseException, kind: type[BaseException] | tuple[type[BaseException], ...]
) -> BaseException | None:
    """The first exception of ``kind`` in the chain of causes of ``error``, itself included.

    mmengine's registries and torch's workers raise an error of ours again inside one of theirs.
    """
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        if isinstance(current, kind):
            return current
        seen.add(id(current))
        current = current.__cause__ or current.__context__
    return None


@contextmanager
def config_errors(config: str | os.PathLike) -> Iterator[None]:
    """Turn what a wrong config value raises while components are built into a UsageError that names the config.

    DataError and OSError pass: they speak of files.

    Args:
        config: the config file.
    """
    from mmengine.config.utils import ConfigParsingError

    try:
        yield
    except Exception as error:
        if find_cause(error, DataError) is not None or isinstance(error, OSError):
            raise
        if isinstance(error, (*CONFIG_ERRORS, ConfigParsingError)):
            raise UsageError(f'{config}: {describe_error(error)}') from error
        raise


def run_tool(main: Callable[[], object]) -> None:
    """Run a command-line tool; what the user can mend ends it with one line on stderr.

    Exit code 2: UsageError, or another ValueError. Exit code 1: DataError or OSError (missing file, no permission,
    full disk). Exit code 130: interrupted from the keyboard. Anything else is a fault of ours and keeps its traceback;
    so does every error where the environment variable LAVIDA_MM_TRACEBACK is set.

    Args:
        main: the tool; its return value is ignored.
    """
    try:
        main()
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(EXIT_DATA)
    except KeyboardInterrupt:
        sys.stderr.write('interrupted\n')
        sys.exit(EXIT_INTERRUPTED)
    except Exception as error:
        if os.environ.get(TRACEBACK):
            raise
        cause = find_cause(error, DataError)
        if cause is not None:
            _leave(cause, EXIT_DATA)
        cause = find_cause(error, UsageError)
        if cause is not None:
            _leave(cause, EXIT_USAGE)
        if isinstance(error, OSError):
            _leave(error, EXIT_DATA)
        if isinstance(error, ValueError):
            _leave(error, EXIT_USAGE)
        raise


def _leave(error: BaseException, code: int) -> None:
    sys.stderr.write(f'error: {describe_error(error)}\n')
    sys.stderr.flush()
    sys.exit(code)
