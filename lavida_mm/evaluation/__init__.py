"""Metrics: pure functions in ``functional``, scores under a protocol above them, and the registered shells."""

from lavida_mm.evaluation.dump_predictions import DumpPredictions
from lavida_mm.evaluation.evaluation import Coverage, Evaluation, VideoEvaluation
from lavida_mm.evaluation.predictions import Prediction, PredictionWriter, read_prediction
from lavida_mm.evaluation.protocols import PROTOCOLS, Protocol, get_protocol
from lavida_mm.evaluation.scoreboard import Scoreboard
from lavida_mm.evaluation.vad_metric import VADMetric

__all__ = [
    'PROTOCOLS',
    'Coverage',
    'DumpPredictions',
    'Evaluation',
    'Prediction',
    'PredictionWriter',
    'Protocol',
    'Scoreboard',
    'VADMetric',
    'VideoEvaluation',
    'get_protocol',
    'read_prediction',
]
