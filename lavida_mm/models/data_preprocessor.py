"""Checks a batch of clips and puts it on the model's device."""

from mmengine.model import BaseDataPreprocessor

from lavida_mm.registry import MODELS

__all__ = ['VADDataPreprocessor']


@MODELS.register_module()
class VADDataPreprocessor(BaseDataPreprocessor):
    """Moves clips and data samples to the device and checks their form.

    Clips stay raw: resizing and normalisation belong to the two networks that read them (the multimodal LLM and
    the segmenter), since each wants its own.
    """

    def forward(self, data: dict, training: bool = False) -> dict:
        """Check and move one batch.

        Args:
            data: ``inputs``, a list of clips, uint8 RGB (T_i, 3, H_i, W_i), and ``data_samples``, one per clip.
            training: unused; part of mmengine's interface.

        Returns:
            The same two keys, tensors on this module's device.

        Raises:
            ValueError: where a clip has another form, or there is not one data sample per clip.
        """
        data = self.cast_data(data)
        clips, samples = list(data['inputs']), data.get('data_samples')
        for index, clip in enumerate(clips):
            if clip.ndim != 4 or clip.shape[1] != 3:
                raise ValueError(f'inputs[{index}] must have shape (T, 3, H, W), got {tuple(clip.shape)}')
        if samples is None or len(samples) != len(clips):
            found = 'none' if samples is None else len(samples)
            raise ValueError(f'data_samples must hold one sample per clip: {len(clips)} clips, {found} samples')
        return dict(inputs=clips, data_samples=list(samples))
