"""The ComfyUI node, called as ComfyUI calls it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from refrestore.errors import ProfileError
from refrestore.evaluate.demo import group_photo

FOLDER = Path(__file__).resolve().parents[2] / "integrations" / "comfyui"


@pytest.fixture(scope="module")
def package() -> Any:
    """Load the folder as ComfyUI does: by its path, as a package."""
    spec = importlib.util.spec_from_file_location(
        "comfyui_refrestore", FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_node_is_as_comfyui_wants_it(package) -> None:
    assert package.NODE_CLASS_MAPPINGS.keys() == package.NODE_DISPLAY_NAME_MAPPINGS.keys()
    for node in package.NODE_CLASS_MAPPINGS.values():
        asked = node.INPUT_TYPES()["required"]
        assert asked["image"] == ("IMAGE",)
        assert node.RETURN_TYPES == ("IMAGE",)
        assert callable(getattr(node(), node.FUNCTION))
        assert node.CATEGORY


def test_pictures_come_back_with_their_faces_restored(package) -> None:
    photo = np.ascontiguousarray(group_photo()[190:460, 20:250])
    blurred = torch.nn.functional.avg_pool2d(
        torch.from_numpy(photo).permute(2, 0, 1)[None].float() / 255, 5, 1, 2
    )
    image = blurred.permute(0, 2, 3, 1).contiguous()
    before = image.clone()
    node = package.NODE_CLASS_MAPPINGS["RefrestoreRestoreFaces"]()
    (result,) = getattr(node, node.FUNCTION)(image=image, profile="", strength=1.0, scale="2")
    assert result.shape == (1, 2 * image.shape[1], 2 * image.shape[2], 3)
    assert result.dtype == torch.float32
    assert 0 <= float(result.min()) <= float(result.max()) <= 1
    assert torch.equal(image, before)
    with pytest.raises(ProfileError):
        node.restore(image, "nobody of that name", 1.0, "1")
