"""microtome: a microscope for convolutional networks.

>>> import microtome as mt
>>> model = mt.open_model("zoo:simpleconvnet")
>>> model.sites["conv2"].shape
(64, 14, 14)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .activation_sheet import maps
    from .analysis import Analysis, Jobs, Pass, Result, at, each, setting
    from .api import Stage, look, look_share, merge, open_images
    from .decision_sheet import decision
    from .dissection_sheet import dissect
    from .errors import MicrotomeError
    from .evidence_sheet import grad_cam
    from .images import Images
    from .network.edits import Edit
    from .network.open import Model, open_model
    from .network.specimen import Specimen
    from .occlusion_sheet import occlusion
    from .reconstruction import reconstruct
    from .run import Run, open_run
    from .superstimulus_sheet import superstimuli
    from .workflows.doctor import doctor
    from .workflows.export import export

# Where each public name lives. They are imported when first used, so that `import microtome` costs nothing.
_HOMES = {
    "Analysis": "analysis", "Jobs": "analysis", "Pass": "analysis", "Result": "analysis", "at": "analysis",
    "each": "analysis", "setting": "analysis", "Stage": "api", "look": "api", "look_share": "api", "merge": "api",
    "open_images": "api", "MicrotomeError": "errors",
    "Images": "images", "Edit": "network.edits", "Model": "network.open", "open_model": "network.open",
    "Specimen": "network.specimen", "Run": "run", "open_run": "run", "maps": "activation_sheet",
    "reconstruct": "reconstruction", "dissect": "dissection_sheet", "decision": "decision_sheet",
    "grad_cam": "evidence_sheet", "occlusion": "occlusion_sheet", "superstimuli": "superstimulus_sheet",
    "doctor": "workflows.doctor", "export": "workflows.export",
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
    "at",
    "decision",
    "dissect",
    "doctor",
    "each",
    "export",
    "grad_cam",
    "look",
    "look_share",
    "maps",
    "merge",
    "occlusion",
    "open_images",
    "open_model",
    "open_run",
    "reconstruct",
    "setting",
    "superstimuli",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'microtome' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
