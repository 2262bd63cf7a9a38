"""ParseNet as a face mask; with random weights, since the real ones are a download."""

import pytest
import torch

from refrestore.errors import ModelError
from refrestore.restore import parser
from refrestore.restore.parsenet import CLASSES, ParseNet
from refrestore.restore.parser import FACE_CLASSES, ParserMask, load_parser


class Fixed(torch.nn.Module):
    """Says one class everywhere."""

    def __init__(self, index):
        super().__init__()
        self.index = index

    def forward(self, pictures):
        logits = torch.zeros(len(pictures), CLASSES, *pictures.shape[-2:], dtype=pictures.dtype)
        logits[:, self.index] = 20
        return logits


@pytest.mark.parametrize("index", [0, 1, 12, 13, 18])
def test_face_classes_are_kept(index):
    seen = ParserMask(Fixed(index)).visible(torch.rand(1, 3, 64, 64), None)
    assert seen.shape == (1, 64, 64)
    assert float(seen.mean()) == pytest.approx(float(index in FACE_CLASSES), abs=1e-3)


def test_published_weights_open(tmp_path, monkeypatch):
    monkeypatch.setattr(parser, "PARSER_SIZE", 64)  # ParseNet takes any size; 512 px cost a minute
    torch.manual_seed(0)
    network, path = ParseNet().eval(), tmp_path / "parser.pth"
    torch.save(network.state_dict(), path)
    face = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        seen = load_parser(path).visible(face, None)
        classes = network(face * 2 - 1).softmax(1)
    assert torch.allclose(seen, classes[:, 1:13].sum(1), atol=1e-4)


def test_another_file_is_one_sentence(tmp_path):
    path = tmp_path / "parser.pth"
    for make in (lambda: path.write_bytes(b"nonsense"), lambda: torch.save({"a": 1}, path)):
        make()
        with pytest.raises(ModelError, match="face parser"):
            load_parser(path)
    with pytest.raises(ModelError, match="face parser"):
        load_parser(tmp_path / "none.pth")
