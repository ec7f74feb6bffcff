"""What the compression tools run: each compressor at each keep ratio, and calls that are watched or answered anew."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from lavida_mm.utils.errors import UsageError, config_errors

Wrap = Callable[[Callable], Callable]


class Setting(NamedTuple):
    """One point of a curve.

    Attributes:
        compressor: its registered name; None where all tokens are kept, whatever the compressor.
        keep_ratio: share of the visual tokens that remain.
    """

    compressor: str | None
    keep_ratio: float

    @property
    def name(self) -> str:
        """What tables call it."""
        return 'all tokens' if self.compressor is None else self.compressor


ALL_TOKENS = Setting(None, 1.0)


def list_compressors() -> list[str]:
    """The registered compressors that have a keep ratio."""
    import lavida_mm.models.compressors as compressors
    from lavida_mm.registry import MODELS

    return sorted(
        name
        for name, kind in MODELS.module_dict.items()
        if inspect.isclass(kind)
        and issubclass(kind, compressors.TokenCompressor)
        and 'keep_ratio' in inspect.signature(kind).parameters
    )


def make_settings(compressors: Iterable[str], keep_ratios: Iterable[float]) -> list[Setting]:
    """All tokens, then each compressor at each ratio below 1, largest first.

    Raises:
        UsageError: a compressor that is not registered, or a ratio outside (0, 1].
    """
    for ratio in keep_ratios:
        if not 0 < ratio <= 1:
            raise UsageError(f'--keep-ratios must be in (0, 1], got {ratio:g}')
    registered = list_compressors()
    for name in compressors:
        if name not in registered:
            raise UsageError(f'--compressors must be registered ({", ".join(registered)}), got {name}')
    ratios = sorted({ratio for ratio in keep_ratios if ratio < 1}, reverse=True)
    return [ALL_TOKENS, *(Setting(name, ratio) for name in dict.fromkeys(compressors) for ratio in ratios)]


def build_compressors(config: Any, path: str, settings: Sequence[Setting]) -> dict[Setting, Any]:
    """The compressor of each setting, in eval mode; the config's own one keeps its other options.

    Args:
        config: the resolved config.
        path: its file.
        settings: what will be run.
    """
    from lavida_mm.registry import MODELS

    own = dict(config.model.get('compressor') or {})
    own_name = str(own.get('type')).split('.')[-1]
    built = {}
    with config_errors(path):
        for setting in settings:
            if setting.compressor is None:
                built[setting] = MODELS.build({'type': 'NoCompressor'}).eval()
            else:
                options = own if setting.compressor == own_name else {'type': setting.compressor}
                built[setting] = MODELS.build({**options, 'keep_ratio': setting.keep_ratio}).eval()
    return built


@contextmanager
def replaced(owner: Any, name: str, wrap: Wrap) -> Iterator[None]:
    """Put ``wrap(method)`` in a method's place for a while.

    Args:
        owner: an object, or a class.
        name: of the method.
        wrap: takes the method, bound where ``owner`` is an object, and returns what stands in for it.
    """
    missing = object()
    before = vars(owner).get(name, missing)
    setattr(owner, name, wrap(getattr(owner, name)))
    try:
        yield
    finally:
        if before is missing:
            delattr(owner, name)
        else:
            setattr(owner, name, before)


class Tape:
    """Answers that no setting changes: recorded in the first pass over a batch, played back in all later ones.

    Every pass makes the same calls in the same order.

    Args:
        calls: objects and names of their methods.
    """

    def __init__(self, calls: Iterable[tuple[Any, str]]) -> None:
        self.calls = list(calls)
        self.erase()

    def erase(self) -> None:
        """Begin a batch."""
        self.answers: dict[str, list[Any]] = {name: [] for _, name in self.calls}
        self.rewind()

    def rewind(self) -> None:
        """Begin a pass over the same batch."""
        self._places = dict.fromkeys(self.answers, 0)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Answer the calls for a while."""
        with ExitStack() as stack:
            for owner, name in self.calls:
                stack.enter_context(replaced(owner, name, lambda method, name=name: self._play(method, name)))
            yield

    def _play(self, method: Callable, name: str) -> Callable:
        def answer(*args: Any, **kwargs: Any) -> Any:
            answers, place = self.answers[name], self._places[name]
            self._places[name] += 1
            if place == len(answers):
                answers.append(method(*args, **kwargs))
            return answers[place]

        return answer
