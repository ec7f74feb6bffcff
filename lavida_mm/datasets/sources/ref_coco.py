"""RefCOCO, RefCOCO+, RefCOCOg and RefCLEF in the layout of the REFER toolkit."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pycocotools import mask as coco_mask

from lavida_mm.datasets.masks import find_mask_fault, find_run_fault
from lavida_mm.datasets.sources.base_source import FaultLog, PseudoAnomalySource
from lavida_mm.datasets.sources.coco_json import (
    category_words,
    check_files_exist,
    iterate_annotations,
    load_sections,
    records_by_id,
)
from lavida_mm.datasets.sources.refer_refs import Ref, load_refs
from lavida_mm.registry import DATASETS
from lavida_mm.utils.errors import DataError
from lavida_mm.utils.words import unique_words, word_key

__all__ = ['RefCOCO']

# The partitions of each data set, the usual one first: readme of github.com/lichengunc/refer.
PARTITIONS = {
    'refcoco': ('unc', 'google'),
    'refcoco+': ('unc',),
    'refcocog': ('umd', 'google'),
    'refclef': ('unc', 'berkeley'),
}
COCO_IMAGES = 'images/mscoco/images/train2014'  # refer.py of github.com/lichengunc/refer
CLEF_IMAGES = 'images/saiapr_tc-12'


@DATASETS.register_module()
class RefCOCO(PseudoAnomalySource):
    """One item is one image with all its annotated objects (docs/method.md, section 1).

    An object is called by its category and by its phrases. All categories and phrases of the image count as present,
    those of objects without a mask and of other parts of the data set too (the google partition splits objects, not
    images). Layout, by refer.py of github.com/lichengunc/refer: ``<dataset>/refs(<split_by>).p``,
    ``<dataset>/instances.json`` in COCO's form, and the images of COCO train2014 or of SAIAPR TC-12. The pipeline
    reads with ``SampleClip``, ``LoadClipFrames``, ``LoadClipObjects``. mmdet's ``RefCocoDataset`` does not fit: it
    unpickles anything, keeps one ref per object and no object without a phrase.

    Args:
        data_root: folder that holds ``refcoco`` and the others, and ``images``.
        dataset: ``'refcoco'``, ``'refcoco+'``, ``'refcocog'`` or ``'refclef'``.
        split_by: who divided it; where none is given ``'unc'``, for refcocog ``'umd'``.
        split: part of the data set, such as ``'train'``. As attribute with data set and partition before it, which
            is how ``PUBLISHED`` calls it: ``'refcoco unc train'``.
        category_words: let an object be called by its category too, not by its phrases alone. Objects without a
            phrase then can be the anomaly.
        image_folder: where it is not the toolkit's.
        name: what samples of this source are called; where none is given, the data set.
        pipeline: transforms, from loading to packing.
        extra_words: words for the vocabulary beyond categories and phrases.
        bad_annotations: ``'error'``, or ``'skip'`` to leave out and count bad refs, bad annotations and missing images.
        lazy_init: leave the reading of the annotations for ``full_init``.

    Raises:
        ValueError: there is no such data set or partition.
        DataError: a file, a ref, an annotation or an image breaks a rule, or the split has no ref.
    """

    # images and refs: github.com/tensorflow/datasets, docs/catalog/ref_coco.md. phrases: sums of sentences per split
    # as papers on grounding give them; they add up to the 142,210 of the toolkit's pyReferDemo.ipynb (RefCOCO), to
    # 141,564 (RefCOCO+, Yu et al. 2016) and to 95,010 (RefCOCOg). RefCLEF: no figure per split found.
    PUBLISHED: ClassVar[Mapping[str, Mapping[str, int]]] = {
        'refcoco unc train': dict(images=16994, refs=42404, phrases=120624),
        'refcoco unc val': dict(images=1500, refs=3811, phrases=10834),
        'refcoco google train': dict(images=19213, refs=40000),
        'refcoco+ unc train': dict(images=16992, refs=42278, phrases=120191),
        'refcoco+ unc val': dict(images=1500, refs=3805, phrases=10758),
        'refcocog umd train': dict(images=21899, refs=42226, phrases=80512),
        'refcocog umd val': dict(images=1300, refs=2573, phrases=4896),
        'refcocog google train': dict(images=24698, refs=44822),
    }

    def __init__(
        self,
        *,
        data_root: str = 'data/refer',
        dataset: str = 'refcoco',
        split_by: str | None = None,
        split: str = 'train',
        category_words: bool = True,
        image_folder: str | None = None,
        name: str | None = None,
        pipeline: Sequence[dict | Callable] = (),
        extra_words: Sequence[str] = (),
        bad_annotations: str = 'error',
        lazy_init: bool = False,
    ):
        if dataset not in PARTITIONS:
            raise ValueError(f'dataset must be one of {sorted(PARTITIONS)}, got {dataset!r}')
        partition = PARTITIONS[dataset][0] if split_by is None else split_by
        if partition not in PARTITIONS[dataset]:
            raise ValueError(f'split_by must be one of {PARTITIONS[dataset]} for {dataset}, got {split_by!r}')
        usual_images = CLEF_IMAGES if dataset == 'refclef' else COCO_IMAGES
        self._refs = Path(data_root, dataset, f'refs({partition}).p')
        self._instances = Path(data_root, dataset, 'instances.json')
        self._images = Path(data_root, usual_images if image_folder is None else image_folder)
        self._part = split
        self._category_words = category_words
        self.split = f'{dataset} {partition} {split}'
        super().__init__(
            name=dataset if name is None else name,
            data_root=data_root,
            pipeline=pipeline,
            extra_words=extra_words,
            bad_annotations=bad_annotations,
            lazy_init=lazy_init,
        )

    def index_files(self) -> list[Path]:
        """Refs, instances, and the folder of the images."""
        return [self._refs, self._instances, self._images]

    def counts(self) -> dict[str, int]:
        """Images, annotated objects that can be called by a word, refs and phrases."""
        found = dict(images=len(self), objects=0, refs=0, phrases=0)
        for index in range(len(self)):
            info = self.get_data_info(index)
            found['objects'] += len(info['objects'])
            found['refs'] += info['num_refs']
            found['phrases'] += info['num_phrases']
        return found

    def load_data_list(self) -> list[dict]:
        """Read and check both files: one record per image that has a ref of the split."""
        ref_faults = FaultLog(self._refs, self.bad_annotations)
        faults = FaultLog(self._instances, self.bad_annotations)
        refs = load_refs(self._refs, ref_faults)
        content = load_sections(self._instances, ('images', 'annotations', 'categories'))
        images = records_by_id(self._instances, 'images', content['images'], dict(file_name=str, height=int, width=int))
        categories = records_by_id(self._instances, 'categories', content['categories'], dict(name=str))
        words = category_words(self._instances, categories)
        self._check_categories(words)

        owners = {_key(annotation, 'id'): _key(annotation, 'image_id') for annotation in content['annotations']}
        refs = list(_known_refs(refs, images, owners, ref_faults))
        own = self._refs_of_split(refs)
        missing = check_files_exist({key: self._images / images[key]['file_name'] for key in own}, 'image', faults)
        wanted = {key: images[key] for key in images if key in own and key not in missing}
        annotations = [entry for entry in content['annotations'] if _concerns(entry, wanted, images)]
        sound = {
            annotation['id']: annotation
            for annotation in iterate_annotations(list(_with_mask(annotations)), images, categories, faults)
        }
        ref_faults.report()
        faults.report()

        by_image: dict[Any, list[dict]] = {}
        for annotation in annotations:
            by_image.setdefault(_key(annotation, 'image_id'), []).append(annotation)
        others: dict[Any, list[str]] = {}
        for ref in refs:
            others.setdefault(ref.image, []).extend(ref.phrases)
        found = [
            self._make_item(image, own[key], by_image.get(key, []), sound, words, others[key])
            for key, image in wanted.items()
        ]
        phrases = (phrase for key in wanted for ref in own[key] for phrase in ref.phrases)
        called = (word for names in words.values() for word in names) if self._category_words else ()
        self.set_vocabulary([*called, *phrases])
        return found

    def _check_categories(self, words: Mapping[Any, list[str]]) -> None:
        first: dict[str, Any] = {}
        for key, names in words.items():
            other = first.setdefault(word_key(names[0]), key)
            if other != key:
                raise DataError(
                    f'{self._instances}: category names must not repeat, got {names[0]!r} for {other!r} and {key!r}'
                )

    def _refs_of_split(self, refs: Sequence[Ref]) -> dict[Any, list[Ref]]:
        found: dict[Any, list[Ref]] = {}
        for ref in refs:
            if ref.split == self._part:
                found.setdefault(ref.image, []).append(ref)
        if not found:
            splits = sorted({ref.split for ref in refs})
            raise DataError(f'{self._refs}: must hold refs of split {self._part!r}, has those of {splits}')
        return found

    def _make_item(
        self,
        image: dict,
        refs: Sequence[Ref],
        annotations: Sequence[dict],
        sound: Mapping[Any, dict],
        words: Mapping[Any, list[str]],
        present: Sequence[str],
    ) -> dict:
        phrases: dict[Any, list[str]] = {}
        for ref in refs:
            phrases.setdefault(ref.annotation, []).extend(ref.phrases)
        objects: dict[Any, dict] = {}
        names: list[str] = []
        for annotation in annotations:
            key, category = _key(annotation, 'id'), words.get(_key(annotation, 'category_id'), [])
            names.extend(category)
            called = [*(category if self._category_words else ()), *phrases.get(key, ())]
            drawn = sound.get(key)
            if called and drawn is not None and drawn['image_id'] == image['id']:  # ids may repeat in a bad file
                objects[key] = dict(
                    words=unique_words(called), masks={0: drawn['segmentation']}, annotation_ids={0: key}
                )
        return dict(
            video_id=str(image['id']),
            path=None,
            fps=0.0,
            height=image['height'],
            width=image['width'],
            num_frames=1,
            frame_ids=[0],
            frame_files={0: str(self._images / image['file_name'])},
            ann_file=str(self._instances),
            objects=list(objects.values()),
            present_words=unique_words([*names, *present]),
            num_refs=len(refs),
            num_phrases=sum(len(ref.phrases) for ref in refs),
        )


def _key(annotation: dict, field: str) -> int | str | None:
    """An id, or None where it is none; ``iterate_annotations`` tells the user."""
    value = annotation.get(field)
    return value if isinstance(value, int | str) else None


def _known_refs(refs: Iterable[Ref], images: Mapping, owners: Mapping, faults: FaultLog) -> Iterator[Ref]:
    for ref in refs:
        if ref.image not in images:
            faults.add(f'{ref.where}: image_id must name one of the {len(images)} images, got {ref.image!r:.80}')
        elif owners.get(ref.annotation) != ref.image:
            faults.add(f'{ref.where}: ann_id must name an object of image {ref.image!r}, got {ref.annotation!r:.80}')
        else:
            yield ref


def _concerns(annotation: dict, wanted: Mapping, images: Mapping) -> bool:
    """Whether an annotation is of a wanted image, or of none that is listed, which is a fault."""
    image = annotation.get('image_id')
    return not isinstance(image, int | str) or image in wanted or image not in images


def _with_mask(annotations: Iterable[dict]) -> Iterator[dict]:
    """The annotations with a mask in COCO's form.

    RefCLEF wraps run lengths in a list, and lists may be empty (both as refer.py's getMask takes them).
    """
    for annotation in annotations:
        parts = annotation.get('segmentation')
        if parts == []:
            continue
        if isinstance(parts, list) and all(isinstance(part, dict) for part in parts):
            yield {**annotation, 'segmentation': _merge_runs(parts)}
        else:
            yield annotation


def _merge_runs(parts: list[dict]) -> dict:
    """Several run lengths as one; the first bad one where one is bad, for the check that follows."""
    if len(parts) == 1:
        return parts[0]
    size = parts[0].get('size')
    if not isinstance(size, list) or len(size) != 2 or not all(isinstance(side, int) for side in size):
        return parts[0]
    for part in parts:
        if find_mask_fault(part, *size) or find_run_fault(part, *size):
            return part
    encoded = [part if isinstance(part['counts'], str) else coco_mask.frPyObjects(part, *size) for part in parts]
    merged = coco_mask.merge(encoded)
    return dict(size=size, counts=merged['counts'].decode())
