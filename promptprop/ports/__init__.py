"""The seams: Protocols that services are written against and adapters fulfil. bootstrap decides who plays whom.

One contract suite per port runs on every implementation (`tests/contracts/`).
"""

from promptprop.ports.loop import (
    AwaitingMetric,
    Brief,
    Effort,
    Metric,
    ModelMetric,
    Optimizer,
    Question,
    QuestionBound,
    Reviewer,
    Role,
    Scorer,
    Shape,
    Told,
    Workbench,
)
from promptprop.ports.models import Ledger, ModelClient
from promptprop.ports.sinks import Clock, EventSink, JobQueue, Tick
from promptprop.ports.storage import (
    CACHE_MODES,
    READING_MODES,
    CacheMode,
    Costs,
    FailedCall,
    PromptVersion,
    RecordedCall,
    RecordedReply,
    RubricVersion,
    RunRow,
    Store,
)

__all__ = [
    "CACHE_MODES",
    "READING_MODES",
    "AwaitingMetric",
    "Brief",
    "CacheMode",
    "Clock",
    "Costs",
    "Effort",
    "EventSink",
    "FailedCall",
    "JobQueue",
    "Ledger",
    "Metric",
    "ModelClient",
    "ModelMetric",
    "Optimizer",
    "PromptVersion",
    "Question",
    "QuestionBound",
    "RecordedCall",
    "RecordedReply",
    "Reviewer",
    "Role",
    "RubricVersion",
    "RunRow",
    "Scorer",
    "Shape",
    "Store",
    "Tick",
    "Told",
    "Workbench",
]
