"""The config files of the image sources, and the paper's mixture of all sources."""

import shutil

import numpy as np
import pytest
from mmengine.config import Config

from lavida_mm.registry import DATASETS
from tests.conftest import ROOT
from tests.test_datasets.test_sources import test_label_map_sources as label_maps
from tests.test_datasets.test_sources import test_ref_coco as refer

FOLDER = ROOT / 'configs/_base_/datasets'
IMAGE_SOURCES = ('cityscapes', 'refcoco', 'refcoco_plus', 'refcocog', 'refclef', 'ade20k', 'mapillary')
PAPER_SHARES = dict(
    youtube_vos=0.05, ref_youtube_vos=0.20, mevis=0.25, ref_davis17=0.20, cityscapes=0.05, ade20k=0.10, mapillary=0.05
)  # docs/method.md, section 1
REFER = ('refcoco', 'refcoco_plus', 'refcocog', 'refclef')  # 0.10 together


def write_miniature(root, name, config):
    if name in REFER:
        images = 'images/saiapr_tc-12' if name == 'refclef' else 'images/mscoco/images/train2014'
        refer.write(root, *refer.content_of_refer(), config['dataset'], config['split_by'], images)
    else:
        label_maps.SOURCES[name][1](root)


@pytest.mark.parametrize('name', IMAGE_SOURCES)
def test_a_config_reads_the_official_layout(tmp_path, name):
    """As it stands but for the folder; ADE20K's miniature has few of the background classes."""
    config = Config.fromfile(FOLDER / 'sources' / f'{name}.py').to_dict()
    assert set(config) == {name}
    config = config[name]
    write_miniature(tmp_path, name, config)
    config.pop('anomaly_sampler', None)
    more = label_maps.BACKGROUND if name == 'ade20k' else {}
    source = DATASETS.build({'name': name, **config, **more, 'data_root': str(tmp_path)})
    item = source[0]
    frames, masks = item['frames'], item['object_masks']
    assert frames.dtype == np.uint8 and masks.dtype == bool and len(masks) == len(item['object_words']) > 0
    assert masks.shape[1:] == frames.shape[:3] and masks.any(axis=(1, 2, 3)).all()
    assert set(config) <= {'type', 'data_root', 'pipeline'} | set(vars_of(type(source)))


def vars_of(kind):
    return kind.__init__.__kwdefaults__


def test_shares_and_lengths_of_prompts_are_the_papers(tmp_path):
    folder = shutil.copytree(FOLDER, tmp_path / 'datasets')
    for name in PAPER_SHARES:
        if not (folder / 'sources' / f'{name}.py').exists():
            (folder / 'sources' / f'{name}.py').write_text(f"{name} = dict(type='{name}', pipeline=[])\n")
    dataset = Config.fromfile(folder / 'paper_mixture.py').train_dataloader.dataset
    assert {name: share for name, share in dataset.shares.items() if name not in REFER} == PAPER_SHARES
    assert [dataset.shares[name] for name in REFER] == [0.025] * 4
    assert sum(dataset.shares.values()) == pytest.approx(1)
    assert set(dataset.sources) == set(dataset.shares)
    longest = {
        name: {**dataset.anomaly_sampler, **source.get('anomaly_sampler', {})}['max_categories']
        for name, source in dataset.sources.items()
    }
    assert longest == dict.fromkeys(dataset.sources, 30) | dict(mapillary=20, cityscapes=6)
    assert [step.type for step in dataset.sources.mapillary.pipeline][-1] == 'LoadLabelMap'
