"""The harness: restorer and alternatives over stills and films with ground truth."""

from .run import Evaluation, evaluate
from .settings import EvaluationSettings

__all__ = ["Evaluation", "EvaluationSettings", "evaluate"]
