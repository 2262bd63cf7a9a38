"""Train the fusion network on a CPU (or a GPU, with --device cuda).

    python training/fusion/train.py CACHE MODELS RUN --minutes 65

CACHE is what prepare.py wrote, MODELS holds the recogniser, the mesh and SqueezeNet. RUN receives
`state.pt` (to go on after a stop: same command), `fusion.safetensors` (moving average of the
weights, always usable) and `log.jsonl`. Learning rate and loss weights follow the time spent, so
`--minutes` is the length of the schedule on this machine.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from pathlib import Path

import torch
import torch.distributed as dist
from data import Samples
from losses import Identity, SqueezeFeatures, charbonnier
from torch.nn import functional as F  # noqa: N812

from refrestore.restore.fusion import FusionConfig, FusionNetwork, save_fusion

HEADS = ("mix",)
WARM_STEPS = 50
AVERAGE = 0.998
SAVE_SECONDS = 240


class Losses:
    def __init__(self, models: Path, device: torch.device, weights: dict[str, float]) -> None:
        self.features = SqueezeFeatures(models / "squeezenet1_1_caffe.pth").to(device)
        self.features.to(memory_format=torch.channels_last)
        self.identity = Identity(models / "edgeface_xs.fp32.onnx").to(device)
        self.weights = weights

    def __call__(self, fused, batch, step: int) -> dict[str, torch.Tensor]:
        out, truth = fused.images, batch["truth"]
        hull = F.interpolate(batch["hull"], scale_factor=8, mode="bilinear", align_corners=False)
        place = 0.3 + 0.7 * hull
        sharp = batch["sharp"].view(-1, 1, 1, 1)
        error = out - truth
        terms = {
            "pixel": (charbonnier(error) * place * sharp).mean()
            + (charbonnier(F.avg_pool2d(error, 4)) * F.avg_pool2d(place, 4)).mean()
        }
        edges = [
            (charbonnier(error.diff(dim=d)) * place.narrow(d, 1, place.shape[d] - 1) * sharp).mean()
            for d in (2, 3)
        ]
        terms["edges"] = edges[0] + edges[1]
        # Features: the whole face at half size, and in turn a corner of it at full size.
        size = out.shape[-1] // 2
        if step % 2:
            top, left = (int(v) for v in torch.randint(0, size, (2,)))
            window = (..., slice(top, top + size), slice(left, left + size))
            views = [(x * 1.0)[window] for x in (out, truth)]
            weight = batch["sharp"]
        else:
            views = [F.avg_pool2d(x, 2) for x in (out, truth)]
            weight = 0.5 + 0.5 * batch["sharp"]
        with torch.autocast(out.device.type, torch.bfloat16):
            mine, theirs = self.features(views[0]), self.features(views[1])
        distance = sum(
            (a - b).square().sum(1).mean((1, 2)) for a, b in zip(mine, theirs, strict=True)
        )
        terms["features"] = (distance * weight).mean()
        with torch.no_grad():
            wanted = self.identity(truth, batch["arcface"])
        likeness = (self.identity(out, batch["arcface"]) * wanted).sum(1)
        terms["identity"] = (1 - likeness).mean()
        right = batch["right"].view(-1, 1) & batch["valid"]
        if right.any():
            references = fused.previews[right]
            goal = F.avg_pool2d(truth, 4)[:, None].expand(-1, right.shape[1], -1, -1, -1)[right]
            where = F.avg_pool2d(hull, 4)[:, None].expand(-1, right.shape[1], -1, -1, -1)[right]
            terms["align"] = (charbonnier(references - goal) * where).mean()
        terms["total"] = sum(self.weights[name] * value for name, value in terms.items())
        terms["likeness_right"] = likeness[batch["right"]].mean()
        terms["likeness_other"] = likeness[~batch["right"]].mean()
        return terms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--minutes", type=float, default=65)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--pixel", type=float, default=0.6)
    parser.add_argument("--edges", type=float, default=0.3)
    parser.add_argument("--identity", type=float, default=1.0)
    parser.add_argument("--features", type=float, default=0.06)
    parser.add_argument(
        "--head-rate",
        type=float,
        default=0.1,
        help="rate of the gates (shares, gains), relative; 0 keeps the analytic ones",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2, help="one thread each")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    arguments.run.mkdir(parents=True, exist_ok=True)
    meeting = arguments.run / "meeting"
    meeting.unlink(missing_ok=True)
    # Threads of one process wait for each other at every layer; on shared cores two processes
    # that meet once a step do twice as much.
    torch.multiprocessing.spawn(work, (arguments, meeting.resolve()), arguments.processes)


def work(rank: int, arguments: argparse.Namespace, meeting: Path) -> None:
    dist.init_process_group(
        "gloo", init_method=meeting.as_uri(), rank=rank, world_size=arguments.processes
    )
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(1)
    device = torch.device(arguments.device)
    network = FusionNetwork(FusionConfig()).to(device)
    average = copy.deepcopy(network).requires_grad_(False)
    # Hundreds of inputs add up in each logit of the heads: at the full rate they overshoot.
    heads = [v for n, v in network.named_parameters() if n.startswith(HEADS)]
    others = [v for n, v in network.named_parameters() if not n.startswith(HEADS)]
    groups = [{"params": others, "scale": 1.0}, {"params": heads, "scale": arguments.head_rate}]
    optimiser = torch.optim.AdamW(groups, lr=arguments.rate, betas=(0.9, 0.99), weight_decay=1e-4)
    step, spent = 0, 0.0
    state_path = arguments.run / "state.pt"
    if state_path.exists():
        state = torch.load(state_path, weights_only=True)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        step, spent = state["step"], state["spent"]
    weights = {
        "pixel": arguments.pixel,
        "edges": arguments.edges,
        "features": arguments.features,
        "identity": arguments.identity,
        "align": 0.3,
    }
    losses = Losses(arguments.models, device, weights)
    samples = Samples(
        arguments.cache,
        arguments.models / "face_landmark_468.onnx",
        arguments.seed + 1000 * step + rank,
    )
    torch.manual_seed(arguments.seed + 1000 * step + rank)
    log = (arguments.run / "log.jsonl").open("a")
    sums: dict[str, list[float]] = {}
    saved = last = time.monotonic()
    while (progress := spent / (60 * arguments.minutes)) < 1:
        batch = samples.batch(arguments.batch)
        rate = arguments.rate * min(1, (step + 1) / WARM_STEPS)
        rate *= 0.02 + 0.98 * (1 + math.cos(math.pi * progress)) / 2
        for group in optimiser.param_groups:
            group["lr"] = rate * group["scale"]
        batch = {name: value.to(device) for name, value in batch.items()}
        for name in ("face", "truth"):
            batch[name] = batch[name].float() / 255
        with torch.autocast(device.type, torch.bfloat16):
            fused = network(
                batch["face"], batch["references"], batch["offsets"], batch["valid"], batch["hull"]
            )
        terms = losses(fused, batch, step)
        optimiser.zero_grad(set_to_none=True)
        terms["total"].backward()
        now = time.monotonic()
        spent = _meet(network, spent + now - last)
        last = now
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        if torch.isfinite(norm):
            optimiser.step()
        keep = min(AVERAGE, (step + 1) / (step + 20))
        for mean, value in zip(average.parameters(), network.parameters(), strict=True):
            mean.lerp_(value.detach(), 1 - keep)
        step += 1
        for name, value in {**terms, "norm": norm}.items():
            number = float(value.detach())
            if math.isfinite(number):
                sums.setdefault(name, []).append(number)
        if step % 20 == 0 and rank == 0:
            line = {name: round(sum(v) / len(v), 5) for name, v in sums.items()}
            line |= {"step": step, "minutes": round(spent / 60, 2), "rate": round(rate, 7)}
            print(json.dumps(line), file=log, flush=True)
            sums = {}
        if now - saved > SAVE_SECONDS and rank == 0:
            saved = now
            _save(arguments.run, network, average, optimiser, step, spent)
    if rank == 0:
        _save(arguments.run, network, average, optimiser, step, spent)
    dist.destroy_process_group()


def _meet(network, spent: float) -> float:
    """Average gradients and the time spent over all processes."""
    values = list(network.parameters())
    flat = torch.cat(
        [
            (value.grad if value.grad is not None else torch.zeros_like(value)).flatten()
            for value in values
        ]
    )
    flat = torch.cat([flat, flat.new_tensor([spent])]).cpu()
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    parts = flat[:-1].to(values[0].device).split([value.numel() for value in values])
    for value, part in zip(values, parts, strict=True):
        value.grad = part.view_as(value)
    return float(flat[-1])


def _save(run: Path, network, average, optimiser, step: int, spent: float) -> None:
    state = {
        "network": network.state_dict(),
        "average": average.state_dict(),
        "optimiser": optimiser.state_dict(),
        "step": step,
        "spent": spent,
    }
    torch.save(state, run / "state.tmp")
    (run / "state.tmp").replace(run / "state.pt")
    save_fusion(average, run / "fusion.tmp")
    (run / "fusion.tmp").replace(run / "fusion.safetensors")


if __name__ == "__main__":
    main()
