"""microtome: a microscope for convolutional networks.

>>> import microtome as mt
>>> model = mt.open_model("zoo:simpleconvnet")
>>> model.sites["conv2"].shape
(64, 14, 14)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .analysis import Analysis, Jobs, Pass, Result, at, each, setting
    from .api import Stage, look, look_share, merge, open_images
    from .errors import MicrotomeError
    from .images.collection import Images
    from .network.open import Model, open_model
    from .network.recording.edits import Edit
    from .network.sources.weights import load_pruned
    from .network.specimen import Specimen
    from .network.surgery.removing import remove_channels
    from .runs.run import Run, open_run
    from .sheets.activation import maps
    from .sheets.decision import decision
    from .sheets.dissection import dissect
    from .sheets.evidence import grad_cam
    from .sheets.occlusion import occlusion
    from .sheets.preimage import preimage
    from .sheets.reconstruction import reconstruct
    from .sheets.superstimulus import superstimuli
    from .workflows.compare import compare
    from .workflows.doctor import doctor
    from .workflows.export import export
    from .workflows.track.tracker import Tracker

# Where each public name lives. They are imported when first used, so that `import microtome` costs nothing.
_HOMES = {
    "Analysis": "analysis", "Jobs": "analysis", "Pass": "analysis", "Result": "analysis", "at": "analysis",
    "each": "analysis", "setting": "analysis", "Stage": "api", "look": "api", "look_share": "api", "merge": "api",
    "open_images": "api", "MicrotomeError": "errors",
    "Images": "images.collection", "Edit": "network.recording.edits", "Model": "network.open",
    "open_model": "network.open", "load_pruned": "network.sources.weights",
    "remove_channels": "network.surgery.removing",
    "Specimen": "network.specimen", "Run": "runs.run", "open_run": "runs.run", "maps": "sheets.activation",
    "reconstruct": "sheets.reconstruction", "dissect": "sheets.dissection", "decision": "sheets.decision",
    "grad_cam": "sheets.evidence", "occlusion": "sheets.occlusion", "superstimuli": "sheets.superstimulus",
    "preimage": "sheets.preimage",
    "compare": "workflows.compare", "doctor": "workflows.doctor", "export": "workflows.export",
    "Tracker": "workflows.track.tracker",
}  # fmt: skip

__version__ = "0.1.0"
__all__ = [
    "Analysis",
    "Edit",
    "Images",
    "Jobs",
    "MicrotomeError",
    "Model",
    "Pass",
    "Result",
    "Run",
    "Specimen",
    "Stage",
    "Tracker",
    "at",
    "compare",
    "decision",
    "dissect",
    "doctor",
    "each",
    "export",
    "grad_cam",
    "load_pruned",
    "look",
    "look_share",
    "maps",
    "merge",
    "occlusion",
    "open_images",
    "open_model",
    "open_run",
    "preimage",
    "reconstruct",
    "remove_channels",
    "setting",
    "superstimuli",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'microtome' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
