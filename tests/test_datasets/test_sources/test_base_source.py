import cv2
import numpy as np
import pytest

from lavida_mm.datasets.sources import PseudoAnomalySource
from lavida_mm.registry import TRANSFORMS
from lavida_mm.utils.errors import DataError
from tests.test_datasets.number_source import NumberSource


def fail(error):
    def step(results):
        raise error

    return step


@pytest.mark.parametrize(
    ('error', 'message'),
    [
        (
            FileNotFoundError(2, 'No such file or directory', 'a/7.png'),
            "source 'numbers', item 7: a/7.png: No such file",
        ),
        (cv2.error('!buf.empty()'), r"source 'numbers', item 7: !buf\.empty"),
        (AssertionError('failed to load image: a/7.png'), "source 'numbers', item 7: failed to load image: a/7.png"),
    ],
)
def test_files_that_other_readers_refuse_are_named(error, message):
    with pytest.raises(DataError, match=message):
        NumberSource(pipeline=[fail(error)])[7]


@pytest.mark.parametrize('error', [AssertionError('of our own'), KeyError('frames'), DataError('said already')])
def test_other_errors_stay_as_they_are(error):
    with pytest.raises(type(error)) as raised:
        NumberSource(pipeline=[fail(error)])[7]
    assert raised.value is error


@pytest.mark.parametrize('content', [b'', b'\xff\xd8 no picture'])
def test_image_that_does_not_decode(content, tmp_path):
    (tmp_path / 'x.png').write_bytes(content)
    load = TRANSFORMS.build(dict(type='mmcv.LoadImageFromFile'))
    with pytest.raises(DataError, match="source 'numbers', item 0: "):
        NumberSource(pipeline=[lambda results: load(dict(img_path=str(tmp_path / 'x.png')))])[0]
    cv2.imwrite(str(tmp_path / 'x.png'), np.zeros((2, 3, 3), np.uint8))
    good = NumberSource(pipeline=[lambda results: load(dict(img_path=str(tmp_path / 'x.png')))])[0]
    assert good['img'].shape == (2, 3, 3)


def test_what_a_source_says_of_itself():
    source = NumberSource()
    assert source.counts() == dict(samples=10) and source.PUBLISHED == {} and source.index_files() == []
    assert source.vocabulary == ['red star', 'ring', 'cross']
    info = source.get_data_info(3)
    assert info['source'] == 'numbers' and info['vocabulary'] is source.vocabulary


def test_policy_for_bad_annotations():
    with pytest.raises(ValueError, match="bad_annotations must be 'error' or 'skip', got 'drop'"):
        PseudoAnomalySource(name='x', data_root='', pipeline=[], extra_words=[], bad_annotations='drop', lazy_init=True)
