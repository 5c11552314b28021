"""The plain model beside ibot-bench segment computes what mmsegmentation does: goldens_dense/08_segmentor."""
import importlib.util
import json
import os
import pathlib
import struct
import sys
import unittest

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from bench import dense  # noqa: E402

FOLDER = pathlib.Path(os.environ.get("IBOT_GOLDENS_DENSE", ROOT / "tests/goldens_dense")) / "08_segmentor"


def tensors(path):
    import torch

    types = {"F32": torch.float32, "F64": torch.float64, "I64": torch.int64, "U8": torch.uint8}
    content = path.read_bytes()
    start = 8 + struct.unpack("<Q", content[:8])[0]
    read = {}
    for name, entry in json.loads(content[8:start]).items():
        if name == "__metadata__":
            continue
        first, last = entry["data_offsets"]
        flat = torch.frombuffer(bytearray(content[start + first : start + last]), dtype=types[entry["dtype"]])
        read[name] = flat.reshape(entry["shape"])
    return read


@unittest.skipUnless(importlib.util.find_spec("torch"), "this Python has no torch")
class Segment(unittest.TestCase):
    def test_losses_are_those_of_the_reference(self):
        from torch import nn
        from torch.nn import functional as F

        case = json.loads((FOLDER / "upernet.json").read_text())
        config, backbone = case["config"], case["config"]["backbone"]
        model = dense.build(dense.Shape(backbone["embed_dim"], backbone["depth"], backbone["num_heads"],
                                        tuple(backbone["out_indices"]), backbone["img_size"][0], config["channels"],
                                        config["aux_channels"], config["classes"]))
        weights = tensors(FOLDER / "upernet.weights.safetensors")
        missing, unexpected = model.load_state_dict(weights, strict=False)
        self.assertEqual(unexpected, [])
        self.assertEqual([name for name in missing if not name.endswith("num_batches_tracked")], [])
        model.train()
        for module in model.modules():
            if isinstance(module, nn.Dropout2d):
                module.eval()
        inputs = tensors(FOLDER / "upernet.safetensors")
        images, labels = (inputs["step0.image"].float() - 128) / 64, inputs["step0.label"].squeeze(1).long()
        decode, auxiliary = (F.cross_entropy(logits, labels, ignore_index=255, reduction="sum") / labels.numel()
                             for logits in model(images))
        expected = case["steps"][0]["losses"]
        rtol = case["tolerance"]["losses"]["rtol"]
        for value, name, weight in ((decode, "decode.loss_seg", 1), (auxiliary, "aux.loss_seg", dense.AUXILIARY_WEIGHT)):
            self.assertLessEqual(abs(weight * value.item() - expected[name]), rtol * expected[name], name)


if __name__ == "__main__":
    unittest.main()
