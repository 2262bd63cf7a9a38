"""Model catalogue, verified download, packs, sessions.

Imports nothing heavy: torch and onnxruntime are loaded when a device or session is asked for.
"""

from .catalogue import Catalogue, ModelFile
from .model_store import FileStatus, ModelStore
from .pack import FacePack, Pack, load_face_pack, load_pack
from .runtime import onnx_session, session_device, torch_device, torch_dtype

__all__ = [
    "Catalogue",
    "FacePack",
    "FileStatus",
    "ModelFile",
    "ModelStore",
    "Pack",
    "load_face_pack",
    "load_pack",
    "onnx_session",
    "session_device",
    "torch_device",
    "torch_dtype",
]
