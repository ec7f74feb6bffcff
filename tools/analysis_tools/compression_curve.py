"""What compression of the visual tokens saves and what it costs, by compressor and keep ratio.

    python tools/analysis_tools/compression_curve.py configs/lavida_7b.py
    python tools/analysis_tools/compression_curve.py configs/lavida_tiny.py work_dirs/seed1.pth work_dirs/seed2.pth

For any config: visual tokens and operations of a forward pass, without weights. With the weights that the config names:
seconds of each part and memory. With checkpoints, which must be of this config: frame and pixel AUC on its test set,
how far the <SEG> state moves, and how much of what the true mask touches is lost among the compressed tokens.
Writes compression_curve.json, .md and .png.
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from bench import COLUMNS, Bench, add_options, own_prompt, read_config
from compression_settings import ALL_TOKENS, Setting, build_compressors, make_settings

from lavida_mm.utils.errors import UsageError, config_errors, run_tool

KEEP_RATIOS = (1.0, 0.75, 0.5, 0.25, 0.1)
COMPRESSORS = (
    'ReverseAttnCompressor',
    'SimilarityMergeCompressor',
    'UniformCompressor',
    'RandomCompressor',
    'AvgPoolCompressor',
    'ToMeCompressor',
)
PHASES = {'training': True, 'test': False}
PARTS = {
    'vision': 'vision tower',
    'segmenter': 'segmenter',
    'language': 'language model',
    'attention': 'its attention',
    'head': 'head',
    'total': 'total',
}
SECONDS = {
    'vision': 'vision tower',
    'compressor': 'compressor',
    'language': 'language model',
    'segmenter': 'segmenter',
    'decoder': 'projector, decoder',
    'rest': 'rest',
    'whole': 'whole pass',
}
FIGURES = {name: COLUMNS[name] for name in ('frame_auc', 'pixel_auc')}  # shown; the JSON holds all
LEAST_SPAN = 0.02  # of the axis of an AUC: what differs by less looks equal
NOTE = (
    'Operations are matrix products and convolutions, a multiplication and an addition as two. Attention is counted in '
    'full; of the causal attention of the language model, a kernel that skips the upper triangle does half. Projector '
    'and mask decoder are not counted.'
)
FILTER_NOTE = 'What the token filter drops depends on the clip and is not taken off.'
CHAT_TOKENS = 23  # that Qwen2-VL's chat template writes around question and answer
ANSWER_END_TOKENS = 2  # of them, those that the answer ends with


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoints', nargs='*', help='checkpoint files of this config, e.g. of several seeds')
    parser.add_argument(
        '--keep-ratios', nargs='+', type=float, default=KEEP_RATIOS, metavar='R',
        help='shares of the visual tokens that remain; 1 is all tokens, whatever the compressor, and always run',
    )  # fmt: skip
    parser.add_argument('--compressors', nargs='+', default=COMPRESSORS, metavar='NAME', help='registered compressors')
    parser.add_argument('--frames', type=int, help="frames of the clip that is counted and timed (the config's window)")
    parser.add_argument(
        '--size', type=int, nargs=2, default=(720, 1280), metavar=('H', 'W'), help='of its frames (720 1280)'
    )
    parser.add_argument('--words', type=int, default=13, metavar='N', help='words in its prompt (13)')
    parser.add_argument('--repeats', type=int, default=5, metavar='N', help='timed passes per setting (5); 0: none')
    add_options(parser, 'work_dirs/compression_curve')
    args = parser.parse_args(argv)
    for name, least in (('frames', 1), ('words', 1), ('repeats', 0)):
        value = getattr(args, name)
        if value is not None and value < least:
            raise UsageError(f'--{name} must be at least {least}, got {value}')
    if min(args.size) < 1:
        raise UsageError(f'--size must be at least 1 x 1, got {args.size[0]} x {args.size[1]}')
    return args


def make_words(num_words: int) -> list[str]:
    """N different words for a prompt, each of two tokens."""
    return [f'object {number}' for number in range(num_words)]


def estimate_text_tokens(num_words: int) -> tuple[int, int]:
    """Tokens of prompt and answer beside the visual ones, and those of the answer alone.

    An estimate, since a model without weights has no tokenizer: common words and marks are one token each.
    """
    from lavida_mm.models.mllm.prompts import SEG_TOKEN, build_answer, build_question

    question, answer = (
        len(re.findall(r'\w+|[^\w\s]', text.replace(SEG_TOKEN, 'SEG')))
        for text in (build_question(make_words(num_words)), build_answer())
    )
    return question + answer + CHAT_TOKENS, answer + ANSWER_END_TOKENS


def count_operations(
    model: Any, compressors: Mapping[Setting, Any], num_frames: int, size: tuple[int, int], num_words: int
) -> dict[str, Any]:
    """Visual tokens and operations of a pass, by phase and keep ratio, and those of the compressors.

    Args:
        model: on the meta device.
        compressors: that of each setting.
        num_frames: T of the clip.
        size: of its frames.
        num_words: in its prompt.
    """
    from lavida_mm.models import flops
    from lavida_mm.models.compressors.token_compressor import count_kept

    mllm = model.mllm
    text, answer = estimate_text_tokens(num_words)
    if mllm.answer == 'each':  # a conversation for each word
        text, answer = (num_words * tokens for tokens in estimate_text_tokens(1))
    segmenter = flops.count_segmenter(model.mask_head, num_frames, *size).total
    head = flops.count_head(mllm, answer).total
    ratios = sorted({setting.keep_ratio for setting in compressors}, reverse=True)
    phases: dict[str, Any] = {}
    for phase, training in PHASES.items():
        before = mllm.count_visual_tokens(num_frames, *size, training=training)
        vision = flops.count_vision(mllm, num_frames, *size, training=training).total
        rows = []
        for ratio in ratios:
            kept = count_kept(before, ratio)
            language = flops.count_language(mllm, kept + text)
            row = {'keep_ratio': ratio, 'before': before, 'after': kept, 'vision': vision, 'segmenter': segmenter}
            row |= {'language': language.total, 'attention': language.attention, 'head': head}
            rows.append({**row, 'total': vision + segmenter + language.total + head})
        merging = [
            {
                'compressor': setting.compressor,
                'keep_ratio': setting.keep_ratio,
                'operations': flops.count_compressor(compressor, before, mllm.hidden_size).total,
            }
            for setting, compressor in compressors.items()
            if setting != ALL_TOKENS
        ]
        phases[phase] = {'passes': rows, 'compressors': merging}
    note = NOTE if model.token_filter is None else f'{NOTE} {FILTER_NOTE}'
    return {'text_tokens': text, 'note': note, 'phases': phases}


def choose_unit(largest: float) -> tuple[float, str]:
    """The unit in which a number of operations reads well."""
    return next(((unit, name) for unit, name in ((1e12, 'TFLOP'), (1e9, 'GFLOP')) if largest >= unit), (1e6, 'MFLOP'))


def format_table(rows: Sequence[Sequence[str]], texts: int = 1) -> list[str]:
    """Lines of a Markdown table, the first row its head; the first columns are ``texts``, the others figures."""
    head, *body = rows
    marks = ['---'] * texts + ['---:'] * (len(head) - texts)
    return [f'| {" | ".join(row)} |' for row in (head, marks, *body)]


def describe_operations(counted: Mapping[str, Any]) -> list[str]:
    """Tables of tokens and operations."""
    phases = counted['phases']
    scale, unit = choose_unit(max(row['total'] for phase in phases.values() for row in phase['passes']))
    rows = [('pixels of', 'keep ratio', 'visual tokens', 'kept', *(f'{name}, {unit}' for name in PARTS.values()))]
    for phase, figures in phases.items():
        for row in figures['passes']:
            numbers = (f'{row[part] / scale:.3f}' for part in PARTS)
            rows.append((phase, f'{row["keep_ratio"]:g}', f'{row["before"]:,}', f'{row["after"]:,}', *numbers))
    lines = ['## Operations of a forward pass', '', *format_table(rows), '', counted['note']]
    merging = {phase: figures['compressors'] for phase, figures in phases.items()}
    if not any(row['operations'] for row in merging['test']):
        return lines
    scale, unit = choose_unit(max(row['operations'] for found in merging.values() for row in found))
    rows = [('compressor', 'keep ratio', *(f'{phase}, {unit}' for phase in phases), 'share of a pass at test')]
    totals = {row['keep_ratio']: row['total'] for row in phases['test']['passes']}
    for found in zip(*merging.values(), strict=True):
        if not any(row['operations'] for row in found):
            continue
        numbers = (f'{row["operations"] / scale:.3f}' for row in found)
        last = found[-1]
        share = last['operations'] / (last['operations'] + totals[last['keep_ratio']])
        rows.append((last['compressor'], f'{last["keep_ratio"]:g}', *numbers, f'{share:.2%}'))
    return [
        *lines,
        '',
        'Products of tokens with tokens in the compressor; those that are not listed have none:',
        '',
        *format_table(rows),
    ]


def describe_timing(timing: Mapping[str, Any]) -> list[str]:
    """Table of seconds and memory."""
    rows = [('compressor', 'keep ratio', *(f'{name}, ms' for name in SECONDS.values()), 'memory, MiB')]
    for row in timing['rows']:
        memory = '-' if row['memory'] is None else f'{row["memory"] / 2**20:.1f}'
        milliseconds = (f'{1000 * row[part]:.1f}' for part in SECONDS)
        rows.append((row['name'], f'{row["keep_ratio"]:g}', *milliseconds, memory))
    note = (
        f'Medians of {timing["repeats"]} passes over one random clip on {timing["device"]}. Memory: {timing["memory"]}.'
    )
    return ['## Time and memory', '', *format_table(rows), '', note]


def describe_scores(rows: Sequence[Mapping[str, Any]], checkpoints: Sequence[str]) -> list[str]:
    """Table of figures, mean and standard deviation over checkpoints."""
    from compression_scores import MEASURES

    columns = {name: title for name, title in {**FIGURES, **MEASURES}.items() if name in rows[0]['mean']}
    table: list[Sequence[str]] = [('compressor', 'keep ratio', *columns.values())]
    for row in rows:
        cells = []
        for name in columns:
            deviation = f' ± {row["std"][name]:.4f}' if name in row.get('std', {}) else ''
            cells.append(f'{row["mean"][name]:.4f}{deviation}' if name in row['mean'] else '-')
        table.append((row['name'], f'{row["keep_ratio"]:g}', *cells))
    lines = ['## Detection', '', *format_table(table), '']
    if len(checkpoints) > 1:
        lines += [f'Mean and sample standard deviation over {len(checkpoints)} checkpoints.', '']
    return [
        *lines,
        'Change of `<SEG>`: distance of its state from that with all tokens, over the length of the latter. Target and '
        'background error: distance of the tokens that the true mask touches, and of the others, to the nearest '
        'compressed token, over the mean distance of tokens from their mean; in clips that have both.',
    ]


def draw_curves(result: Mapping[str, Any], path: Path) -> None:
    """Operations, and each figure where there are scores, against the keep ratio."""
    from compression_scores import MEASURES
    from matplotlib.figure import Figure

    scores = result.get('scores') or []
    titles = {**FIGURES, **MEASURES}
    shown = [name for name in titles if scores and name in scores[0]['mean']]
    num_columns = min(3, 1 + len(shown))
    num_rows = -(-(1 + len(shown)) // num_columns)
    figure = Figure(figsize=(4 * num_columns, 3.2 * num_rows), layout='constrained')
    axes = figure.subplots(num_rows, num_columns, squeeze=False).flatten()
    for axis in axes[1 + len(shown) :]:
        axis.remove()
    phases = result['operations']['phases']
    scale, unit = choose_unit(max(row['total'] for phase in phases.values() for row in phase['passes']))
    for phase, figures in phases.items():
        passes = figures['passes']
        axes[0].plot([r['keep_ratio'] for r in passes], [r['total'] / scale for r in passes], marker='o', label=phase)
    axes[0].set(title='operations of a pass', ylabel=unit)
    axes[0].set_ylim(0, 1.05 * axes[0].get_ylim()[1])
    axes[0].legend()
    for axis, name in zip(axes[1:], shown, strict=False):
        for compressor in dict.fromkeys(row['compressor'] for row in scores[1:]):
            points = [row for row in scores if row['compressor'] in (None, compressor) and name in row['mean']]
            axis.errorbar(
                [row['keep_ratio'] for row in points],
                [row['mean'][name] for row in points],
                [row.get('std', {}).get(name, 0.0) for row in points],
                marker='o', markersize=3, capsize=2, linewidth=1, label=compressor,
            )  # fmt: skip
        axis.set(title=titles[name].replace('`', ''))
        if name in FIGURES:
            low, high = axis.get_ylim()
            middle, span = (low + high) / 2, max(high - low, LEAST_SPAN)
            axis.set_ylim(middle - span / 2, middle + span / 2)
    for axis in axes[: 1 + len(shown)]:
        axis.set(xlabel='keep ratio', xlim=(0, 1.03))
    if shown and len(scores) > 1:
        axes[1].legend(fontsize='x-small')
    figure.savefig(path, dpi=150)


def run_scores(bench: Bench, checkpoints: Sequence[str], compressors: Mapping[Setting, Any]) -> list[dict[str, Any]]:
    """Figures of each setting, per checkpoint and over all of them."""
    from compression_scores import score, summarise
    from tqdm import tqdm

    loader = bench.loaders[own_prompt(bench.config)]
    runs: dict[Setting, list[dict[str, float]]] = {setting: [] for setting in compressors}
    with tqdm(total=len(checkpoints) * len(loader), unit='batch', mininterval=1.0) as bar:
        for checkpoint in checkpoints:
            bar.set_description(Path(checkpoint).name)
            bench.load(checkpoint)
            for setting, figures in score(bench, loader, compressors, bar.update).items():
                runs[setting].append(figures)
    return [{'name': s.name, **s._asdict(), 'checkpoints': found, **summarise(found)} for s, found in runs.items()]


def run_timing(
    model: Any, compressors: Mapping[Setting, Any], num_frames: int, size: tuple[int, int], words: int, repeats: int
) -> dict[str, Any]:
    """Seconds and memory of each setting, and what they were measured on."""
    import torch
    from compression_timing import describe_memory, make_clip, measure
    from tqdm import tqdm

    device = next(model.parameters()).device
    batch = make_clip(num_frames, size, make_words(words))
    with tqdm(total=len(compressors), unit='setting', desc='timing', mininterval=1.0) as bar:
        measured = measure(model, compressors, batch, repeats, bar.update)
    name = torch.cuda.get_device_name(device) if device.type == 'cuda' else f'CPU, {torch.get_num_threads()} thread(s)'
    return {
        'device': name,
        'repeats': repeats,
        'memory': describe_memory(device),
        'rows': [{'name': setting.name, **setting._asdict(), **row} for setting, row in measured.items()],
    }


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)

    from mmengine.registry import init_default_scope
    from model_summary import build_on_meta

    from lavida_mm.engine import check_checkpoint
    from lavida_mm.models.pretrained import find_missing_weights
    from lavida_mm.utils.atomic import atomic_path, write_json

    config = read_config(args)
    init_default_scope(config.get('default_scope', 'lavida_mm'))
    if not (config.get('model') or {}).get('mllm'):
        raise UsageError(f'{args.config}: model.mllm must be set: without one there are no visual tokens to compress')
    size = tuple(args.size)
    settings = make_settings(args.compressors, args.keep_ratios)
    with config_errors(args.config):
        num_frames = config.test_dataloader.dataset.window if args.frames is None else args.frames
        prompts = [own_prompt(config)] if args.checkpoints else []
        shapes = build_on_meta(config).eval()
    compressors = build_compressors(config, args.config, settings)
    missing = find_missing_weights(config.model)
    bench = None
    if args.checkpoints or (args.repeats and not missing):
        bench = Bench(config, args.config, prompts)
        for checkpoint in args.checkpoints:  # before anything that takes time
            check_checkpoint(bench.model, checkpoint)
    result: dict[str, Any] = {
        'config': Path(args.config).name,
        'checkpoints': [Path(checkpoint).name for checkpoint in args.checkpoints],
        'clip': {'frames': num_frames, 'height': size[0], 'width': size[1], 'words': args.words},
        'operations': count_operations(shapes, compressors, num_frames, size, args.words),
    }
    clip = f'A clip of {num_frames} frames of {size[0]} x {size[1]} pixels and a prompt of {args.words} words.'
    lines = [f'# Compression: {result["config"]}', '', clip, '', *describe_operations(result['operations'])]
    if bench is None:
        lines += ['', f'No time was measured{": weights that the config names are not here" if missing else ""}.']
    else:
        device = next(bench.model.parameters()).device
        for compressor in compressors.values():
            compressor.to(device)
        if args.repeats:
            result['timing'] = run_timing(bench.model, compressors, num_frames, size, args.words, args.repeats)
            lines += ['', *describe_timing(result['timing'])]
        if args.checkpoints:
            result['scores'] = run_scores(bench, args.checkpoints, compressors)
            lines += ['', *describe_scores(result['scores'], args.checkpoints)]
    text = '\n'.join(lines) + '\n'
    write_json(args.out / 'compression_curve.json', result)
    with atomic_path(args.out / 'compression_curve.md') as temporary:
        temporary.write_text(text, encoding='utf-8')
    with atomic_path(args.out / 'compression_curve.png') as temporary:
        draw_curves(result, temporary)
    print(text)


if __name__ == '__main__':
    run_tool(main)
