"""RefCOCO and its kin on miniatures in the layout of the REFER toolkit (refer.py of github.com/lichengunc/refer)."""

import pickle

import cv2
import numpy as np
import pytest

from lavida_mm.datasets import RefCOCO
from lavida_mm.utils.errors import DataError
from tests.test_datasets.worlds import SIDE, annotation, box_mask, write_json_file

READ = [dict(type='SampleClip', num_frames=1), dict(type='LoadClipFrames'), dict(type='LoadClipObjects')]
BOXES = {100: (0, 0), 101: (16, 0), 102: (0, 16), 103: (16, 16), 200: (4, 4), 300: (8, 8)}


def polygon(left, top, size=8):
    return [[left, top, left + size, top, left + size, top + size, left, top + size]]


def ref(key, image, ann, split, *phrases, category=1):
    sentences = [
        dict(sent_id=10 * key + number, sent=text, raw=text.upper(), tokens=text.split())
        for number, text in enumerate(phrases)
    ]
    return dict(
        ref_id=key,
        ann_id=ann,
        image_id=image,
        category_id=category,
        split=split,
        file_name=f'COCO_train2014_{image:012d}_{ann}.jpg',
        sent_ids=[sentence['sent_id'] for sentence in sentences],
        sentences=sentences,
    )


def content_of_refer():
    """Image 1: two dogs and a cat, of which a dog and the cat have phrases, and a crowd. Image 2: of the split val."""
    objects = [
        annotation(100, 1, 1, box_mask(*BOXES[100]), segmentation=polygon(*BOXES[100])),
        annotation(101, 1, 1, box_mask(*BOXES[101]), segmentation=polygon(*BOXES[101])),
        annotation(102, 1, 2, box_mask(*BOXES[102])),
        annotation(103, 1, 3, box_mask(*BOXES[103]), iscrowd=1),
        annotation(200, 2, 1, box_mask(*BOXES[200]), segmentation=polygon(*BOXES[200])),
        annotation(300, 3, 2, box_mask(*BOXES[300]), segmentation=[]),
    ]
    objects[3]['segmentation'] = dict(
        size=[SIDE, SIDE], counts=[16 * SIDE + 16, 8, *[SIDE - 8, 8] * 7, 8 * SIDE + 8]
    )  # uncompressed, as COCO writes crowds
    instances = dict(
        info=dict(version='v0.1'),
        licenses=[],
        images=[dict(id=key, file_name=f'COCO_train2014_{key:012d}.jpg', height=SIDE, width=SIDE) for key in (1, 2, 3)],
        annotations=objects,
        categories=[
            dict(id=1, name='dog', supercategory='animal'),
            dict(id=2, name='cat', supercategory='animal'),
            dict(id=3, name='person', supercategory='person'),
        ],
    )
    refs = [
        ref(0, 1, 100, 'train', 'dog on the left', 'brown  dog'),
        ref(1, 1, 102, 'train', 'the cat', category=2),
        ref(2, 1, 101, 'val', 'dog on the right'),
        ref(3, 2, 200, 'val', 'sleeping dog'),
        ref(4, 3, 300, 'train', 'grey cat', category=2),
    ]
    return refs, instances


def write(root, refs, instances, dataset='refcoco', partition='unc', images='images/mscoco/images/train2014'):
    (root / images).mkdir(parents=True, exist_ok=True)
    for key in (1, 2, 3):
        pixels = np.full((SIDE, SIDE, 3), 40 * key, np.uint8)
        cv2.imwrite(str(root / images / f'COCO_train2014_{key:012d}.jpg'), pixels)
    write_json_file(root / dataset / 'instances.json', instances)
    (root / dataset / f'refs({partition}).p').write_bytes(pickle.dumps(refs, 2))  # protocol 2, as Python 2 wrote
    return root


@pytest.fixture
def files(tmp_path):
    refs, instances = content_of_refer()
    return write(tmp_path, refs, instances), refs, instances


def read(root, **options):
    return RefCOCO(data_root=str(root), **dict(pipeline=READ) | options)


def masks_by_word(item):
    found = {}
    for words, mask in zip(item['object_words'], item['object_masks'][:, 0], strict=True):
        for word in words:
            found[word] = found.get(word, False) | mask
    return found


def test_objects_carry_their_category_and_their_phrases(files):
    root, _, _ = files
    source = read(root)
    assert len(source) == 2 and source.vocabulary == [
        'dog', 'cat', 'person', 'dog on the left', 'brown dog', 'the cat', 'grey cat'
    ]  # fmt: skip
    item = source[0]
    assert item['frames'].shape == (1, SIDE, SIDE, 3) and item['frames'][0, 5, 5].tolist() == [40, 40, 40]
    assert item['video_id'] == '1' and item['source'] == 'refcoco' and item['frame_inds'].tolist() == [0]
    assert item['object_words'] == [['dog', 'dog on the left', 'brown dog'], ['dog'], ['cat', 'the cat'], ['person']]
    masks = masks_by_word(item)
    assert np.array_equal(masks['brown dog'], box_mask(*BOXES[100]))
    assert np.array_equal(masks['dog'], box_mask(*BOXES[100]) | box_mask(*BOXES[101]))
    assert np.array_equal(masks['the cat'], box_mask(*BOXES[102]))
    assert np.array_equal(masks['person'], box_mask(*BOXES[103]))


def test_everything_said_of_an_image_is_present(files):
    """Also the phrase of another split, and the words of an object that was never drawn."""
    first, second = read(files[0])
    assert first['present_words'] == [
        'dog', 'cat', 'person', 'dog on the left', 'brown dog', 'the cat', 'dog on the right'
    ]  # fmt: skip
    assert second['object_words'] == [] and second['present_words'] == ['cat', 'grey cat']


def test_phrases_alone(files):
    source = read(files[0], category_words=False)
    assert source.vocabulary == ['dog on the left', 'brown dog', 'the cat', 'grey cat']
    assert source[0]['object_words'] == [['dog on the left', 'brown dog'], ['the cat']]
    assert set(source[0]['present_words']) >= {'dog', 'cat', 'person'}


def test_counts_and_where_it_looks(files):
    root, _, _ = files
    source = read(root)
    assert source.counts() == dict(images=2, objects=4, refs=3, phrases=4)
    assert read(root, split='val').counts() == dict(images=2, objects=5, refs=2, phrases=2)
    assert source.split == 'refcoco unc train'
    assert source.index_files() == [
        root / 'refcoco/refs(unc).p',
        root / 'refcoco/instances.json',
        root / 'images/mscoco/images/train2014',
    ]


@pytest.mark.parametrize(
    ('dataset', 'partition', 'said', 'images'),
    [
        ('refcoco', 'google', 'google', 'images/mscoco/images/train2014'),
        ('refcoco+', 'unc', None, 'images/mscoco/images/train2014'),
        ('refcocog', 'umd', None, 'images/mscoco/images/train2014'),
        ('refcocog', 'google', 'google', 'images/mscoco/images/train2014'),
        ('refclef', 'unc', None, 'images/saiapr_tc-12'),
        ('refclef', 'berkeley', 'berkeley', 'images/saiapr_tc-12'),
    ],
)
def test_all_data_sets_and_partitions(tmp_path, dataset, partition, said, images):
    refs, instances = content_of_refer()
    source = read(write(tmp_path, refs, instances, dataset, partition, images), dataset=dataset, split_by=said)
    assert len(source) == 2 and source[0]['source'] == dataset and source.split == f'{dataset} {partition} train'


def test_refclef_wraps_run_lengths_in_a_list(tmp_path):
    """refer.py decodes a list of run lengths and sums over it: the object is their union."""
    refs, instances = content_of_refer()
    cat, dog = instances['annotations'][2], instances['annotations'][1]
    crowd = instances['annotations'][3]['segmentation']
    other = annotation(0, 1, 1, box_mask(*BOXES[100]))['segmentation']
    cat['segmentation'] = [cat['segmentation']]
    dog['segmentation'] = [annotation(0, 1, 1, box_mask(*BOXES[101]))['segmentation'], other, crowd]
    item = read(write(tmp_path, refs, instances, 'refclef', images='images/saiapr_tc-12'), dataset='refclef')[0]
    masks = masks_by_word(item)
    assert np.array_equal(masks['the cat'], box_mask(*BOXES[102]))
    parts = box_mask(*BOXES[100]) | box_mask(*BOXES[101]) | box_mask(*BOXES[103])
    assert np.array_equal(item['object_masks'][1, 0], parts) and item['object_words'][1] == ['dog']


def test_prompts_never_name_what_is_said_of_the_image(files):
    """The whole way to packed samples."""
    expose = [dict(type='PseudoAnomalySampler', max_categories=4), dict(type='PackVADInputs')]
    source = read(files[0], pipeline=[*READ, *expose])
    present = set(read(files[0])[0]['present_words'])
    np.random.seed(0)
    seen = set()
    for _ in range(30):
        sample = source[0]['data_samples']
        named = present & set(sample.categories)
        assert len(named) == int(sample.gt_masks.any()) == int(sample.gt_category_labels.sum())
        seen |= named
    assert {'dog on the left', 'brown dog', 'the cat'} <= seen and 'dog on the right' not in seen


REF_FAULTS = [
    (lambda refs: refs[0].update(ann_id=999), 'ref 0: ann_id must name an object of image 1, got 999'),
    (lambda refs: refs[0].update(ann_id=200), 'ref 0: ann_id must name an object of image 1, got 200'),
    (lambda refs: refs[0].update(image_id=77), 'ref 0: image_id must name one of the 3 images, got 77'),
    (lambda refs: refs[0].update(image_id=[1]), r'ref 0: image_id must be a number or text, got \[1\]'),
    (lambda refs: refs[0].pop('ann_id'), 'ref 0: ann_id must be a number or text, got None'),
    (lambda refs: refs[0].update(split=None), 'ref 0: split must be text, got None'),
    (lambda refs: refs[0].update(sentences=[]), r'ref 0: sentences must be a list of at least one phrase, got \[\]'),
    (lambda refs: refs[0].pop('sentences'), 'ref 0: sentences must be a list of at least one phrase, got None'),
    (
        lambda refs: refs[0]['sentences'][1].update(sent=' ', raw=''),
        r'ref 0: sentences\[1\] must hold a phrase in sent or raw',
    ),
    (lambda refs: refs[0].update(sentences=['dog']), r'ref 0: sentences\[0\] must hold a phrase'),
    (lambda refs: refs[0].update(ref_id=1), r'refs\[1\]\.ref_id must be a unique number or text, got 1'),
    (lambda refs: refs.__setitem__(0, 'dog'), r'refs\[0\]\.ref_id must be a unique number or text, got None'),
]


@pytest.mark.parametrize(('change', 'message'), REF_FAULTS)
def test_bad_refs_are_refused_or_left_out(files, change, message):
    root, refs, instances = files
    change(refs)
    write(root, refs, instances)
    with pytest.raises(DataError, match=r'refs\(unc\)\.p: ' + message):
        read(root)
    counts = read(root, bad_annotations='skip').counts()
    assert (counts['images'], counts['refs']) == (2, 2)


def test_a_phrase_that_cleaning_emptied_is_read_raw(files):
    root, refs, instances = files
    refs[1]['sentences'][0].update(sent='', raw='THE cat!')
    assert read(write(root, refs, instances))[0]['object_words'][2] == ['cat', 'THE cat!']


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda found: found.update(image_id=55), 'annotation 101: image_id must name one of the 3 listed, got 55'),
        (lambda found: found.update(category_id=9), 'annotation 101: category_id must name one of the 3 listed, got 9'),
        (lambda found: found.update(category_id=[9]), r'annotation 101: category_id must name .*, got \[9\]'),
        (lambda found: found.update(segmentation=[[1, 2]]), 'annotation 101: a polygon must be an even number'),
        (lambda found: found.update(segmentation=None), 'annotation 101: segmentation must be polygons or run lengths'),
        (lambda found: found.update(id=[101]), r'annotations\[1\]\.id must be a unique number or text, got \[101\]'),
        (lambda found: found.update(id=100), r'annotations\[1\]\.id must be a unique number or text, got 100'),
        (
            lambda found: found.update(segmentation=[dict(size=[2, 2], counts=[4]), dict(size=[2, 2], counts=[4])]),
            r"annotation 101: segmentation\.size must be the frame's \[32, 32\], got \[2, 2\]",
        ),
    ],
)
def test_bad_annotations_are_refused_or_left_out(files, change, message):
    root, refs, instances = files
    change(instances['annotations'][1])
    write(root, refs[:2], instances)  # without the phrase of that object
    with pytest.raises(DataError, match=r'instances\.json: ' + message):
        read(root)
    item = read(root, bad_annotations='skip').get_data_info(0)
    names = [target['words'] for target in item['objects'] if target['annotation_ids'] != {0: 101}]
    assert names == [['dog', 'dog on the left', 'brown dog'], ['cat', 'the cat'], ['person']]


def test_bad_annotations_of_other_splits_do_no_harm(files):
    root, refs, instances = files
    instances['annotations'][4]['segmentation'] = None
    assert len(read(write(root, refs, instances))) == 2
    with pytest.raises(DataError, match='annotation 200: segmentation'):
        read(root, split='val')


@pytest.mark.parametrize('counts', ['zz', [1, 2]])
@pytest.mark.parametrize('wrap', [lambda rle: rle, lambda rle: [rle], lambda rle: [rle, rle]])
def test_run_lengths_with_wrong_counts_are_named_when_they_are_read(files, counts, wrap):
    root, refs, instances = files
    instances['annotations'][2]['segmentation'] = wrap(dict(size=[SIDE, SIDE], counts=counts))
    source = read(write(root, refs, instances))
    with pytest.raises(DataError, match=r'instances\.json: annotation 102: segmentation\.counts'):
        source[0]


def test_category_names_that_repeat(files):
    root, refs, instances = files
    instances['categories'][1]['name'] = ' Dog'
    with pytest.raises(DataError, match=r"instances\.json: category names must not repeat, got 'Dog' for 1 and 2"):
        read(write(root, refs, instances))


def test_missing_and_broken_images(files):
    root, _, _ = files
    image = root / 'images/mscoco/images/train2014/COCO_train2014_000000000001.jpg'
    source = read(root)
    image.write_bytes(b'no image')
    with pytest.raises(DataError, match=r'000000000001\.jpg: is no image that can be read'):
        source[0]
    cv2.imwrite(str(image), np.zeros((SIDE, SIDE + 1, 3), np.uint8))
    with pytest.raises(DataError, match=r'000000000001\.jpg: is 32 x 33 pixels, its annotation says \(32, 32\)'):
        source[0]
    image.unlink()
    with pytest.raises(DataError, match=r"image 1: file_name must be an existing file, got '.*000000000001\.jpg'"):
        read(root)
    assert read(root, bad_annotations='skip').counts()['images'] == 1
    (image.parent / 'COCO_train2014_000000000002.jpg').unlink()
    with pytest.raises(DataError, match='image 1'):
        read(root)  # of the two missing ones, that of the split


def test_refs_that_are_no_list_of_the_split(files):
    root, refs, instances = files
    with pytest.raises(DataError, match=r"refs\(unc\)\.p: must hold refs of split 'test', has those of \['train', 'v"):
        read(root, split='test')
    for content in ([], {'refs': refs}):
        write(root, content, instances)
        with pytest.raises(DataError, match=r'refs\(unc\)\.p: must hold a list of refs, got'):
            read(root)
    path = root / 'refcoco/refs(unc).p'
    path.write_bytes(pickle.dumps(refs, 2)[:-50])
    with pytest.raises(DataError, match=r'refs\(unc\)\.p: is no whole pickle'):
        read(root)
    path.unlink()
    with pytest.raises(DataError, match=r'refs\(unc\)\.p: No such file'):
        read(root)


def test_a_pickle_that_would_run_code_is_refused(files):
    root, _, _ = files
    (root / 'refcoco/refs(unc).p').write_bytes(b'cos\nmkdir\n(V' + str(root / 'made').encode() + b'\ntR.')
    with pytest.raises(
        DataError, match=r'refs\(unc\)\.p: must hold plain data only, got a pickle that names os\.mkdir'
    ):
        read(root)
    assert not (root / 'made').exists()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(dataset='grefcoco'), "dataset must be one of .*, got 'grefcoco'"),
        (
            dict(dataset='refcoco', split_by='umd'),
            r"split_by must be one of \('unc', 'google'\) for refcoco, got 'umd'",
        ),
    ],
)
def test_data_sets_that_there_are_not(options, message):
    with pytest.raises(ValueError, match=message):
        RefCOCO(lazy_init=True, **options)


def test_published_totals_speak_of_what_is_counted(files):
    counted = set(read(files[0]).counts())
    for name, totals in RefCOCO.PUBLISHED.items():
        dataset, partition, split = name.split()
        assert RefCOCO(dataset=dataset, split_by=partition, split=split, lazy_init=True).split == name
        assert {'images', 'refs'} <= set(totals) <= counted
