"""Conversations about clips: a stand-in for the pretraining of a multimodal LLM, for models too small to have any."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from torch import Tensor

from lavida_mm.models.losses import answer_loss, find_answers
from lavida_mm.models.mllm import MLLMOutput, Turn
from lavida_mm.models.mllm.visual_tokens import Grid
from lavida_mm.registry import MODELS
from lavida_mm.structures import VADDataSample
from lavida_mm.utils.checks import check_number
from lavida_mm.utils.words import check_groups, split_phrases, word_key

__all__ = ['MLLMPretrainer', 'assign_objects']

UNKNOWN = -100  # torch's ignore_index
LEAST_SHARE = 0.25  # of a visual token's square that an object must cover to be named there
MOST_ELSEWHERE = 0.02  # that it may cover of the square of a token that is said not to show it


def pool_masks(masks: Tensor, grid: Grid) -> Tensor:
    """Share of each visual token's square that each object covers.

    Args:
        masks: object masks, bool (N, T, H, W).
        grid: numbers of tokens in time, height and width; an odd last frame is shown twice.

    Returns:
        Shares, (N, L), L the product of ``grid``.
    """
    if not len(masks):
        return masks.new_zeros((0, grid[0] * grid[1] * grid[2]), dtype=torch.float32)
    num_frames = masks.shape[1]
    per_token = -(-num_frames // grid[0])
    shown = torch.arange(grid[0] * per_token, device=masks.device).clamp(max=num_frames - 1)
    return F.adaptive_avg_pool3d(masks[:, shown].float(), grid).flatten(1)


def assign_objects(masks: Tensor, grid: Grid) -> Tensor:
    """Give each visual token the object that covers most of what it shows.

    Args:
        masks: object masks, bool (N, T, H, W).
        grid: numbers of tokens in time, height and width; an odd last frame is shown twice.

    Returns:
        Index of the object at each token, int64 (L,), L the product of ``grid``; -1 where none covers a quarter.
    """
    if not len(masks):
        return masks.new_full((grid[0] * grid[1] * grid[2],), -1, dtype=torch.long)
    share, found = pool_masks(masks, grid).max(dim=0)  # (L,)
    return found.masked_fill(share < LEAST_SHARE, -1)


@MODELS.register_module()
class MLLMPretrainer(BaseModel):
    """Trains a multimodal LLM by its own losses: the cross entropies of what it has to say.

    It reads the prompt that LAVIDA will write, and says of each word whether it is true (``answer='each'``), and then
    the answers of a conversation about the clip. With ``naming_weight`` each visual token that shows an object also
    says what it shows: of each group of words that exclude each other, the one that is said of the object. That is done
    twice: by the language model's head from the last hidden state, and by the word embeddings from the token as the
    vision tower hands it over, which brings what is seen and what is read into one space. With ``answer='each'`` the
    state at a word's ``<SEG>`` names the words of the groups that it asks for, too (``loss_echo``).

    Args:
        mllm: config of the multimodal LLM, ``MLLMBackbone``.
        lm_weight: weight of the language-model loss.
        answer_weight: weight of the losses of whether each word is true, and of where; 0: none. The second is left out
            in families whose tokens do not lie in a grid (all but Qwen's).
        naming_weight: weight of the naming loss; 0: none. It needs a family whose tokens lie in a grid (Qwen's).
        word_groups: for the naming loss, groups of words that exclude each other, one token each. Of an object of which
            no word of a group is said, or more than one, the group says nothing.
        data_preprocessor: config of the data preprocessor; ``VADDataPreprocessor`` where None.

    Raises:
        ValueError: a weight without groups, or a word that is not one token.
    """

    def __init__(
        self,
        *,
        mllm: dict,
        lm_weight: float = 1.0,
        answer_weight: float = 0.0,
        naming_weight: float = 0.0,
        word_groups: dict[str, list[str]] | None = None,
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(MODELS.build(data_preprocessor or dict(type='VADDataPreprocessor')))
        for name, weight in (
            ('lm_weight', lm_weight),
            ('answer_weight', answer_weight),
            ('naming_weight', naming_weight),
        ):
            check_number(name, weight, least=0)
        if bool(naming_weight) != bool(word_groups):
            raise ValueError(
                f'word_groups must be given with a naming_weight above 0 and not without, got {word_groups!r} with '
                f'{naming_weight}'
            )
        self.word_groups = check_groups(word_groups or {}, 'word_groups')
        self._group_keys = [[word_key(word) for word in words] for words in self.word_groups.values()]
        self.mllm = MODELS.build(mllm)
        if answer_weight and self.mllm.answer != 'each':
            raise ValueError(f"answer_weight={answer_weight} needs mllm.answer='each', got {self.mllm.answer!r}")
        self.lm_weight = lm_weight
        self.answer_weight = answer_weight
        self.naming_weight = naming_weight
        self.group_tokens: dict[str, list[int]] = {}
        if self.mllm.writer is not None:  # on the meta device there is no tokenizer
            for name, words in self.word_groups.items():
                self.group_tokens[name] = [self._find_token(name, word) for word in words]

    def _find_token(self, group: str, word: str) -> int:
        found = self.mllm.prompt_writer.tokenizer(f' {word}', add_special_tokens=False)['input_ids']
        if len(found) != 1:
            raise ValueError(
                f'word_groups.{group}: {word!r} must be one token of {self.mllm.pretrained}, got {len(found)} tokens'
            )
        return found[0]

    def forward(self, inputs: list[Tensor], data_samples: list[VADDataSample], mode: str = 'tensor'):
        """Dispatch to :meth:`loss`; see :class:`LAVIDA` for the inputs."""
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        raise ValueError(f"mode must be 'loss': this model only pretrains, got {mode!r}")

    def loss(self, inputs: list[Tensor], data_samples: list[VADDataSample]) -> dict[str, Tensor]:
        """``loss_lm``, and ``loss_answer`` and ``loss_naming`` where they have a weight.

        Args:
            inputs: clips, uint8 (T, 3, H, W) each.
            data_samples: ``categories``, the n words of the prompt; ``gt_category_labels``, 1 where they are true,
                (n,); ``conversation``, pairs of question and answer; with either weight ``gt_object_masks``, bool
                (N, T, H, W), and ``object_words``, N lists of words, spelt as in ``categories``. Where they are given,
                ``unheard_of``, bool (n, N), and ``unheard_words``, N sets of words, tell what is no evidence: see
                ``AskAboutObjects``.

        Raises:
            ValueError: a sample lacks what is needed, or the naming loss in a family without a grid.
        """
        for sample in data_samples:
            self._check(sample)
        read = self.read(inputs, data_samples)
        losses = {'loss_lm': self.lm_weight * read.loss}
        if self.answer_weight:
            assert read.answers is not None
            answers = find_answers(data_samples, read.answers.device)
            losses['loss_answer'] = self.answer_weight * answer_loss(read.answers, answers)
            if self.mllm.family.patch_grid is not None:
                losses['loss_map'] = self.answer_weight * self._map_loss(read, data_samples)
        if self.naming_weight:
            losses['loss_naming'] = self.naming_weight * self._naming_loss(read, data_samples)
            if read.word_states is not None:
                losses['loss_echo'] = self.naming_weight * self._echo_loss(read.word_states, data_samples)
        return losses

    def read(self, inputs: list[Tensor], data_samples: list[VADDataSample]) -> MLLMOutput:
        """Show the model each clip, its prompt and the conversation after it."""
        return self.mllm(
            inputs,
            [sample.categories for sample in data_samples],
            [sample.template for sample in data_samples],
            turns=[[Turn(*turn) for turn in sample.conversation] for sample in data_samples],
        )

    def _check(self, sample: VADDataSample) -> None:
        """Raise ValueError where a sample lacks something, or its objects are not as many here as there."""
        name = sample.get('video_id', '?')
        objects = ('gt_object_masks', 'object_words') if self.answer_weight or self.naming_weight else ()
        for field in ('conversation', *objects):
            if field not in sample:
                raise ValueError(
                    f"sample {name}: {field} is needed and missing: dataset.pack must be dict(type='AskAboutObjects')"
                )
        if not objects:
            return
        number = len(sample.gt_object_masks)
        for field in ('object_words', 'unheard_words'):
            if field in sample and len(sample.get(field)) != number:
                raise ValueError(
                    f'sample {name}: {field} must be one for each of gt_object_masks, got {len(sample.get(field))} for '
                    f'{number}'
                )

    def _map_loss(self, read: MLLMOutput, data_samples: Sequence[VADDataSample]) -> Tensor:
        """Cross entropy of "this is shown here" at each visual token, summed and divided by the number that show it.

        Tokens that show a little of it are left out.
        """
        assert read.maps is not None
        logits, covered, known = [], [], []
        for shown, grid, sample in zip(read.maps, read.grids, data_samples, strict=True):
            objects = pool_masks(sample.gt_object_masks.to(shown.device), self._find_cells(grid))  # (N, L)
            named = [[float(word in own) for own in sample.object_words] for word in sample.categories]
            bears = torch.tensor(named, device=shown.device).reshape(len(shown), len(objects))
            logits.append(shown.flatten())
            shares = bears @ objects  # (n, L)
            clear = (shares >= LEAST_SHARE) | (shares <= MOST_ELSEWHERE)
            if 'unheard_of' in sample:
                clear &= sample.unheard_of.to(shown.device).float() @ objects <= MOST_ELSEWHERE
            covered.append(shares.flatten())
            known.append(clear.flatten())
        values, clear = torch.cat(logits), torch.cat(known)
        targets = (torch.cat(covered) >= LEAST_SHARE).float()
        total = F.binary_cross_entropy_with_logits(values[clear], targets[clear], reduction='sum')
        return total / targets[clear].sum().clamp(min=1)

    def _find_cells(self, grid: Grid | None) -> Grid:
        """Numbers of visual tokens in time, height and width.

        Raises:
            ValueError: the tokens do not lie in a grid.
        """
        patches = self.mllm.family.patch_grid
        if grid is None or patches is None:
            raise ValueError(
                f'naming_weight={self.naming_weight} needs visual tokens that lie in a grid, which '
                f'{self.mllm.pretrained} ({self.mllm.model.config.model_type}) has not: take a Qwen model, or weight 0'
            )
        return grid[0], grid[1] // patches.merge, grid[2] // patches.merge

    def _naming_loss(self, read: MLLMOutput, data_samples: Sequence[VADDataSample]) -> Tensor:
        """Cross entropy in each group, a mean over the visual tokens of which it says something, and summed, ()."""
        model = self.mllm.model
        targets, unheard = [], []
        for grid, sample in zip(read.grids, data_samples, strict=True):
            places = assign_objects(sample.gt_object_masks, self._find_cells(grid))  # (L,), -1: the last row
            targets.append(self._find_targets(sample.object_words).to(places.device)[places])
            unheard.append(self._find_unheard(sample).to(places.device)[places])
        wanted = torch.cat(targets)  # (sum L, groups)
        dropped = torch.cat(unheard).split([len(words) for words in self.word_groups.values()], dim=1)
        states, seen = torch.cat(read.visual_states), torch.cat(read.visual_tokens)  # (sum L, D), (sum L, C)
        head, embedding = model.get_output_embeddings().weight, model.get_input_embeddings().weight
        total = read.loss.new_zeros(())
        for group, tokens in enumerate(self.group_tokens.values()):
            known = wanted[:, group] != UNKNOWN
            if not known.any():
                continue
            for features, words in ((states, head), (seen, embedding)):
                logits = F.linear(features[known].to(words.dtype), words[tokens]).float()  # (known, words of the group)
                total = total + F.cross_entropy(
                    logits.masked_fill(dropped[group][known], -math.inf), wanted[known, group]
                )
        return total

    def _echo_loss(self, states: Sequence[Tensor], data_samples: Sequence[VADDataSample]) -> Tensor:
        """Cross entropy in each group at ``<SEG>``, a mean over the prompt's words that say one of it, and summed, ().

        The state then says by the same vectors what is asked for as the visual tokens say what they show, and "red",
        "star" and "left" add up where no prompt has put them together.
        """
        head = self.mllm.model.get_output_embeddings().weight
        found = torch.cat(list(states))  # (all words, D)
        asked = [[word] for sample in data_samples for word in sample.categories]
        wanted = self._find_targets(asked)[:-1].to(found.device)  # (all words, groups)
        total = found.new_zeros((), dtype=torch.float32)
        for group, tokens in enumerate(self.group_tokens.values()):
            known = wanted[:, group] != UNKNOWN
            if known.any():
                logits = F.linear(found[known].to(head.dtype), head[tokens])  # (known, words of the group)
                total = total + F.cross_entropy(logits.float(), wanted[known, group])
        return total

    def _find_targets(self, object_words: Sequence[Sequence[str]]) -> Tensor:
        """Which word of each group is said of each object, int64 (N + 1, groups); the last row, of no object, has none.

        A word is said of an object where it stands in one of its words or phrases.
        """
        rows = []
        for phrases in object_words:
            said = split_phrases(phrases)
            found = [[words.index(word) for word in words if word in said] for words in self._group_keys]
            rows.append([places[0] if len(places) == 1 else UNKNOWN for places in found])
        return torch.tensor([*rows, [UNKNOWN] * len(self.word_groups)])

    def _find_unheard(self, sample: VADDataSample) -> Tensor:
        """Which words of all groups do not compete where each object is named, bool (N + 1, words); the last row: all.

        What is never said of things that look like the object is no wrong answer.
        """
        never = [*sample.get('unheard_words', [()] * len(sample.object_words)), ()]
        said = [*sample.object_words, []]
        rows = []
        for unheard, phrases in zip(never, said, strict=True):
            borne = split_phrases(phrases)
            rows.append([word in unheard and word not in borne for group in self._group_keys for word in group])
        return torch.tensor(rows)
