"""The base configs of the video sources read miniatures of their data sets."""

import pytest
from mmengine.config import Config

from lavida_mm.registry import DATASETS, TRANSFORMS
from tests.conftest import ROOT
from tests.test_datasets.test_sources.video_worlds import (
    SHAPE,
    write_mevis,
    write_ref_davis,
    write_ref_youtube_vos,
    write_youtube_vos,
)

FOLDER = ROOT / 'configs' / '_base_' / 'datasets' / 'sources'
WRITERS = {
    'mevis': write_mevis,
    'ref_davis17': write_ref_davis,
    'ref_youtube_vos': write_ref_youtube_vos,
    'youtube_vos': write_youtube_vos,
}


@pytest.mark.parametrize('name', WRITERS)
def test_base_config_reads_the_official_layout(name, tmp_path):
    config = Config.fromfile(FOLDER / f'{name}.py').to_dict()
    assert list(config) == [name]
    source = config[name]
    assert source['data_root'] == f'data/{name}'
    sampler = TRANSFORMS.build(dict(type='PseudoAnomalySampler', **source.pop('anomaly_sampler', {})))
    WRITERS[name](tmp_path)
    built = DATASETS.build(source | dict(data_root=str(tmp_path), extra_words=['hot air balloon']))
    assert built.name == name
    clip = built[0]
    assert clip['frames'].shape == (8, *SHAPE, 3) and clip['object_masks'].shape[1:] == (8, *SHAPE)
    assert clip['object_masks'].any() and any(clip['object_words'])
    sample = sampler(clip)
    assert set(sample['categories']) <= set(built.vocabulary)
