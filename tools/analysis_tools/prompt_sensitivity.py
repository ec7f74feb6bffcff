"""How much the figures owe to the words: the benchmark's own, generic ones, another benchmark's, and each template.

    python tools/analysis_tools/prompt_sensitivity.py configs/lavida_tiny.py checkpoints/lavida_tiny.safetensors

A figure with the benchmark's own words is that of a system which is told beforehand what anomalies will come. Nobody
who runs a camera is told. Prints a Markdown table with the spread; writes it as prompt_sensitivity.md and .json.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from bench import COLUMNS, Bench, Prompt, add_options, own_prompt, read_config

from lavida_mm.utils.errors import UsageError, run_tool

GENERIC = 'anything unusual'
DATASETS = Path(__file__).resolve().parents[2] / 'configs' / '_base_' / 'datasets'
OTHERS = ('ucf_crime', 'shanghaitech')  # the first one that is not the benchmark itself


class Setting(NamedTuple):
    """One row of the table.

    Attributes:
        name: what is asked.
        words: ``prompt_words`` of the test set.
        template: number of the prompt template.
    """

    name: str
    words: str | tuple[str, ...]
    template: int = 0

    @property
    def prompt(self) -> Prompt:
        """What the test set must be built for."""
        return self.words, self.template


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file; its prompt_words are the oracle words')
    parser.add_argument('checkpoint', help='checkpoint file, .safetensors or .pth')
    parser.add_argument('--generic', nargs='+', default=[GENERIC], metavar='WORDS', help=f'generic words ({GENERIC!r})')
    parser.add_argument(
        '--other', nargs='*', metavar='BENCHMARK', help='benchmarks whose words are tried (ucf_crime, or shanghaitech)'
    )
    parser.add_argument('--words', nargs='+', default=[], metavar='WORDS', help='further words to try: "smoke, fire"')
    parser.add_argument('--templates', type=int, nargs='*', metavar='N', help='templates to try (all)')
    add_options(parser, 'work_dirs/prompt_sensitivity')
    return parser.parse_args(argv)


def read_words(name: str) -> tuple[str, ...]:
    """The anomaly words of a benchmark's config.

    Raises:
        UsageError: there is no such config, or it has no words.
    """
    from mmengine.config import Config

    path = DATASETS / f'{name}.py'
    known = sorted(file.stem for file in DATASETS.glob('*.py') if 'anomaly_words' in file.read_text(encoding='utf-8'))
    if name not in known:
        raise UsageError(
            f'--other must name a benchmark whose config has anomaly_words ({", ".join(known)}), got {name}'
        )
    return tuple(Config.fromfile(path).anomaly_words)


def split_words(text: str, option: str) -> tuple[str, ...]:
    """Words that are parted by commas.

    Raises:
        UsageError: there is none.
    """
    words = tuple(word.strip() for word in text.split(',') if word.strip())
    if not words:
        raise UsageError(f'{option} must hold at least one word, got {text!r}')
    return words


def make_settings(
    oracle: str | Sequence[str],
    *,
    generic: Iterable[str],
    others: Iterable[str],
    words: Iterable[str],
    templates: Iterable[int],
    template: int = 0,
) -> dict[str, list[Setting]]:
    """What is run: by the words, with one template; by the template, with the oracle words.

    Args:
        oracle: ``prompt_words`` of the config.
        generic: texts of generic words.
        others: names of other benchmarks.
        words: further texts of words.
        templates: numbers of templates.
        template: the template with which words are compared, that of the config.
    """
    own: str | tuple[str, ...] = oracle if isinstance(oracle, str) else tuple(oracle)
    by_words = [Setting('oracle words', words=own, template=template)]
    by_words += [Setting(f'generic: {text}', split_words(text, '--generic'), template) for text in generic]
    by_words += [Setting(f'words of {name}', read_words(name), template) for name in others]
    by_words += [Setting(f'given: {text}', split_words(text, '--words'), template) for text in words]
    by_template = [Setting(f'template {number}', words=own, template=number) for number in templates]
    return {'words': by_words, 'template': by_template}


def find_spread(rows: Sequence[dict[str, Any]], columns: Iterable[str]) -> dict[str, dict[str, float]]:
    """Lowest and highest figure of the rows, and their distance, for each column."""
    spread = {}
    for key in columns:
        values = [row[key] for row in rows]
        spread[key] = {'lowest': min(values), 'highest': max(values), 'spread': max(values) - min(values)}
    return spread


def make_markdown(groups: dict[str, list[dict[str, Any]]], spreads: dict[str, dict[str, dict[str, float]]]) -> str:
    """One table: the rows of each group and, below each, their spread."""
    first = groups['words'][0]
    columns = {key: title for key, title in COLUMNS.items() if key in first}
    lines = ['| prompt | ' + ' | '.join(columns.values()) + ' |', '| --- |' + ' ---: |' * len(columns)]
    for name, rows in groups.items():
        for row in rows:
            lines.append(f'| {row["setting"]} | ' + ' | '.join(f'{row[key]:.4f}' for key in columns) + ' |')
        if len(rows) > 1:
            figures = ' | '.join(f'**{spreads[name][key]["spread"]:.4f}**' for key in columns)
            lines.append(f'| **spread by {name}** | {figures} |')
    return '\n'.join(lines) + '\n'


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)

    from tqdm import tqdm

    from lavida_mm.models.mllm.prompts import NUM_TEMPLATES
    from lavida_mm.utils.atomic import atomic_path, write_json

    config = read_config(args)
    try:
        kind = str(config.test_dataloader.dataset.benchmark.type)
    except AttributeError as error:
        raise UsageError(f'{args.config}: test_dataloader.dataset.benchmark must be set') from error
    templates = range(NUM_TEMPLATES) if args.templates is None else args.templates
    for number in templates:
        if not 0 <= number < NUM_TEMPLATES:
            raise UsageError(f'--templates must be in 0..{NUM_TEMPLATES - 1}, got {number}')
    oracle, template = own_prompt(config)
    groups = make_settings(
        oracle,
        generic=args.generic,
        others=choose_others(kind) if args.other is None else args.other,
        words=args.words,
        templates=templates,
        template=template,
    )
    settings = [setting for group in groups.values() for setting in group]
    bench = Bench(config, args.config, [setting.prompt for setting in settings])
    bench.load(args.checkpoint)
    found: dict[tuple, dict[str, float]] = {}
    total = sum(len(loader) for loader in bench.loaders.values())
    with tqdm(total=total, unit='batch', mininterval=1.0) as bar:
        for setting in settings:  # the oracle words and the config's template stand in both groups and are run once
            if setting.prompt not in found:
                bar.set_description(setting.name)
                found[setting.prompt] = bench.score(setting.prompt, bar.update)
    rows = {
        name: [{'setting': s.name, 'words': s.words, 'template': s.template, **found[s.prompt]} for s in group]
        for name, group in groups.items()
    }
    columns = [key for key in COLUMNS if key in rows['words'][0]]
    spreads = {name: find_spread(group, columns) for name, group in rows.items() if group}
    text = make_markdown(rows, spreads)
    origin = {'config': Path(args.config).name, 'checkpoint': Path(args.checkpoint).name, 'benchmark': kind}
    write_json(args.out / 'prompt_sensitivity.json', {**origin, 'rows': rows, 'spreads': spreads})
    with atomic_path(args.out / 'prompt_sensitivity.md') as temporary:
        temporary.write_text(text, encoding='utf-8')
    print(text)


def choose_others(kind: str) -> list[str]:
    """A benchmark that is not the one that is tested."""
    from lavida_mm.registry import DATASETS as REGISTRY

    name = getattr(REGISTRY.get(kind), 'name', '')
    return [next(other for other in OTHERS if other != name)]


if __name__ == '__main__':
    run_tool(main)
