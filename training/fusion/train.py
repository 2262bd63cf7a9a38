"""Train the fusion network on a CPU (or a GPU, with --device cuda).

    python -m training.fusion.train BANK MODELS RUN --mesh models/lite/landmarks.onnx --minutes 90

BANK is what `training.common.faces` wrote, MODELS holds the recogniser and SqueezeNet. RUN receives
`state.pt` (to go on after a stop: same command), `fusion.safetensors` (moving average of the
weights, always usable) and `log.jsonl`. The learning rate follows the time spent, so `--minutes`
is the length of the schedule on this machine.
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
from safetensors.torch import load_file
from torch.nn import functional as F  # noqa: N812

from refrestore.models.runtime import torch_dtype
from refrestore.restore.fusion import FusionNetwork, save_fusion
from refrestore.restore.fusion_bands import missing_octaves
from refrestore.restore.fusion_types import FusionConfig
from refrestore.restore.light import enlarge, luma_of, shrunk
from refrestore.restore.sides import SIDES
from training.fusion.data import Samples
from training.fusion.losses import Identity, Patches, SqueezeFeatures, charbonnier

HEADS = ("mix",)
HELD = ("balance",)
WARM_STEPS = 50
AVERAGE = 0.998
SAVE_SECONDS = 120
LOG_STEPS = 20
OUTSIDE = 0.3
"""Weight of a pixel outside the mesh hull."""

MOVING = 2.0
"""Weight of eyes and mouth besides, whose movement is the face's own."""

ENERGY_FLOOR = 2e-5
"""Energy of a band, luma 0..1, beside which less is not told apart: about a grey level of 255."""

SIZED = ("likeness_right", "likeness_severe", "gain")
"""What is logged for each side too."""

WEIGHTS = {
    "pixel": 0.15,
    "coarse": 1.0,
    "edges": 0.0,
    "features": 0.1,
    "stages": 0.3,
    "identity": 0.3,
    "kept": 1.0,
    "energy": 0.03,
    "patches": 0.01,
}


class Losses:
    """All terms of the loss of one batch."""

    def __init__(self, models: Path, device: torch.device, weights: dict[str, float]) -> None:
        self.features = SqueezeFeatures(models / "squeezenet1_1_caffe.pth").to(device)
        self.features.to(memory_format=torch.channels_last)
        self.identity = Identity(models / "edgeface_xs.fp32.onnx").to(device)
        self.weights = weights
        self.half = torch_dtype(device) is torch.bfloat16

    def __call__(
        self, out: torch.Tensor, shares: torch.Tensor | None, batch: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        truth = batch["truth"]
        size = out.shape[-1]
        hull = F.interpolate(batch["hull"], size=size, mode="bilinear", align_corners=False)
        moving = F.interpolate(batch["moving"], size=size, mode="bilinear", align_corners=False)
        place = OUTSIDE + (1 - OUTSIDE) * hull + MOVING * moving
        sharp = batch["sharp"].view(-1, 1, 1, 1)
        error = out - truth
        block = max(2, size // 64) if shares is None else 4
        fourth, fourth_place = F.avg_pool2d(error, block), F.avg_pool2d(place, block)
        slopes = [error[..., 1:, :] - error[..., :-1, :], error[..., 1:] - error[..., :-1]]
        inner = [place[..., 1:, :], place[..., 1:]]
        terms = {
            "pixel": (charbonnier(error) * place * sharp).mean(),
            "coarse": (charbonnier(fourth) * fourth_place).mean(),
            "edges": sum(
                (charbonnier(slope) * where * sharp).mean()
                for slope, where in zip(slopes, inner, strict=True)
            ),
        }
        with torch.autocast(out.device.type, torch.bfloat16, enabled=self.half):
            mine, theirs = self.features(out), self.features(truth)
        weight = sharp.view(-1)
        terms["features"] = self._distance(mine, theirs, weight, hull)
        embedding, stages = self.identity(out, batch["arcface"])
        with torch.no_grad():
            wanted, goals = self.identity(truth, batch["arcface"])
            was, _ = self.identity(batch["face"], batch["arcface"])
        likeness = (embedding * wanted).sum(1)
        terms["identity"] = (1 - likeness).mean()
        # A face that can be read keeps what is read in it, whatever its references say.
        lost = F.relu((was * wanted).sum(1) - likeness)
        terms["kept"] = lost.mean()
        terms["energy"], terms["strength"] = self._energies(
            out, truth, hull, sharp * batch["right"].view(-1, 1, 1, 1)
        )
        terms["stages"] = self._distance(stages, goals, 0.25 + 0.75 * weight, None)
        for name, rows in (
            ("likeness_right", batch["right"] & ~batch["severe"]),
            ("likeness_severe", batch["right"] & batch["severe"]),
            ("likeness_other", ~batch["right"]),
            ("likeness_drawn", batch["drawn"] & batch["right"]),
        ):
            if rows.any():
                terms[name] = likeness[rows].mean().detach()
                gained = (likeness - (was * wanted).sum(1))[rows]
                terms[name.replace("likeness", "won")] = gained.mean().detach()
        with torch.no_grad():
            squared = (error.square() * hull).sum((1, 2, 3)) / (3 * hull.sum((1, 2, 3)))
            terms["psnr"] = -10 * squared.clamp(min=1e-6).log10().mean()
            before = ((batch["face"] - truth).square() * hull).sum((1, 2, 3))
            before = before / (3 * hull.sum((1, 2, 3)))
            terms["gain"] = terms["psnr"] + 10 * before.clamp(min=1e-6).log10().mean()
            if shares is None:
                return terms
            inside = (shares * batch["hull"]).mean((2, 3))
            inside = inside / batch["hull"].mean((2, 3)).clamp(min=1e-3)
            for name, kind in (("far", batch["severe"]), ("near", ~batch["severe"])):
                rows = kind & batch["right"]
                if rows.any():
                    means = inside[rows].mean(0)
                    terms |= {f"{name}{level}": share for level, share in enumerate(means)}
        return terms

    @staticmethod
    def _energies(
        out: torch.Tensor, truth: torch.Tensor, hull: torch.Tensor, counted: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return how far two fine bands' local energies are off, and the ratio of the finest's.

        Where no reference shows what was there it is no loss: grain was drawn for it (NOTES.md).
        """
        off, ratios = [], []
        where = F.avg_pool2d(hull, 8) * counted
        mine, theirs = luma_of(out)[:, None], luma_of(truth)[:, None]
        for level in range(2):
            bands = []
            for one in (mine, theirs):
                band = one - enlarge(shrunk(one, 2))
                bands.append(F.avg_pool2d(band.square(), 8 >> level))
            logs = [(band + ENERGY_FLOOR).log() for band in bands]
            off.append(((logs[0] - logs[1]).abs() * where).sum() / (where.sum() + 1))
            with torch.no_grad():
                ratios.append((bands[0] * where).sum() / ((bands[1] * where).sum() + 1e-6))
            mine, theirs = shrunk(mine, 2), shrunk(theirs, 2)
        return off[0] + off[1], ratios[0]

    @staticmethod
    def _distance(
        mine: list[torch.Tensor],
        theirs: list[torch.Tensor],
        weight: torch.Tensor,
        hull: torch.Tensor | None,
    ) -> torch.Tensor:
        total = weight.new_zeros(())
        for one, other in zip(mine, theirs, strict=True):
            distance = (one - other).square().sum(1)
            if hull is not None:
                where = OUTSIDE + F.interpolate(hull, size=distance.shape[-2:], mode="area")[:, 0]
                distance = distance * where
            total = total + (distance.mean((1, 2)) * weight).mean()
        return total

    def total(self, terms: dict[str, torch.Tensor]) -> torch.Tensor:
        return sum(weight * terms[name] for name, weight in self.weights.items() if name in terms)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bank", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--mesh", type=Path, help="landmark network; without, true meshes + noise")
    parser.add_argument("--start", type=Path, help="weights to start from")
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--adversarial", type=float, default=1.0, metavar="PROGRESS")
    parser.add_argument("--head-rate", type=float, default=0.5, help="of the gates, relative")
    for name, weight in WEIGHTS.items():
        parser.add_argument(f"--{name}", type=float, default=weight)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1, help="one thread each")
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
    network = FusionNetwork(FusionConfig(sides=SIDES))
    if arguments.start is not None:
        begun = load_file(arguments.start)  # what an older network has not starts by doing nothing
        network.load_state_dict({name: v.float() for name, v in begun.items()}, strict=False)
    network.to(device)
    average = copy.deepcopy(network).requires_grad_(False)
    judge = Patches(pictures=2).to(device)
    # What the whole face's strengths say of the gates is held: it followed the mean over easy faces
    # before it could tell them from hard ones, and shut (NOTES.md). Places can move against it.
    for name, value in network.named_parameters():
        value.requires_grad_(not name.startswith(HELD))
    learnt = [(n, v) for n, v in network.named_parameters() if v.requires_grad]
    heads = [v for n, v in learnt if n.startswith(HEADS)]
    others = [v for n, v in learnt if not n.startswith(HEADS)]
    groups = [{"params": others, "scale": 1.0}, {"params": heads, "scale": arguments.head_rate}]
    optimiser = torch.optim.AdamW(groups, lr=arguments.rate, betas=(0.9, 0.99), weight_decay=1e-4)
    judging = torch.optim.AdamW(judge.parameters(), lr=3e-4, betas=(0.5, 0.99))
    step, spent = 0, 0.0
    state_path = arguments.run / "state.pt"
    if state_path.exists():
        state = torch.load(state_path, weights_only=True)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        if "judge" in state:
            judge.load_state_dict(state["judge"])
        step, spent = state["step"], state["spent"]
    losses = Losses(arguments.models, device, {name: getattr(arguments, name) for name in WEIGHTS})
    samples = Samples(arguments.bank, arguments.mesh, arguments.seed + 1000 * step + rank)
    torch.manual_seed(arguments.seed + 1000 * step + rank)
    log = (arguments.run / "log.jsonl").open("a")
    sums: dict[str, list[float]] = {}
    saved = last = time.monotonic()
    while (progress := spent / (60 * arguments.minutes)) < 1:
        side, batch = samples.batch(arguments.batch)
        batch = {name: value.to(device) for name, value in batch.items()}
        for name in ("face", "truth", "references"):
            batch[name] = batch[name].float() / 255
        rate = arguments.rate * min(1, (step + 1) / WARM_STEPS)
        rate *= 0.02 + 0.98 * (1 + math.cos(math.pi * progress)) / 2
        for group in optimiser.param_groups:
            group["lr"] = rate * group["scale"]
        given = [batch[name] for name in ("face", "references", "offsets", "valid", "hull")]
        shares = None
        with torch.autocast(device.type, torch.bfloat16, enabled=losses.half):
            if missing_octaves(side):
                images = network(*given).images
            else:
                thought = network.think(*given, side=side)
                images, shares = thought.images, thought.shares
        terms = losses(images, shares, batch)
        if progress >= arguments.adversarial:
            terms |= _judged(judge, judging, images, batch)
        total = losses.total(terms)
        optimiser.zero_grad(set_to_none=True)
        total.backward()
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
        sized = {f"{name}@{side}": terms[name] for name in SIZED if name in terms}
        for name, value in {**terms, **sized, "total": total, "norm": norm}.items():
            number = float(value.detach())
            if math.isfinite(number):
                sums.setdefault(name, []).append(number)
        if step % LOG_STEPS == 0 and rank == 0:
            line = {name: round(sum(v) / len(v), 4) for name, v in sums.items()}
            line |= {"step": step, "minutes": round(spent / 60, 2), "rate": round(rate, 7)}
            print(json.dumps(line), file=log, flush=True)
            sums = {}
        if now - saved > SAVE_SECONDS and rank == 0:
            saved = now
            _save(arguments.run, network, average, optimiser, judge, step, spent)
    if rank == 0:
        _save(arguments.run, network, average, optimiser, judge, step, spent)
    dist.destroy_process_group()


def _judged(
    judge: Patches,
    judging: torch.optim.Optimizer,
    images: torch.Tensor,
    batch: dict[str, torch.Tensor],
) -> dict[str, torch.Tensor]:
    """Train the discriminator a step and return what it says of the images (hinge losses)."""
    rows = (batch["sharp"] > 0.8) & batch["right"]
    if not rows.any():
        return {}
    truth, face, made = batch["truth"][rows], batch["face"][rows], images[rows]
    with torch.autocast(images.device.type, torch.bfloat16):
        real, fake = judge(truth, face), judge(made.detach(), face)
    loss = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
    judging.zero_grad(set_to_none=True)
    loss.backward()
    judging.step()
    with torch.autocast(images.device.type, torch.bfloat16):
        said = -judge(made, face).mean()
    return {"patches": said, "judge": loss.detach()}


def _meet(network: FusionNetwork, spent: float) -> float:
    """Average gradients and the time spent over all processes."""
    if dist.get_world_size() == 1:
        return spent
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


def _save(run: Path, network, average, optimiser, judge, step: int, spent: float) -> None:
    state = {
        "network": network.state_dict(),
        "average": average.state_dict(),
        "optimiser": optimiser.state_dict(),
        "judge": judge.state_dict(),
        "step": step,
        "spent": spent,
    }
    torch.save(state, run / "state.tmp")
    (run / "state.tmp").replace(run / "state.pt")
    save_fusion(average, run / "fusion.tmp")
    (run / "fusion.tmp").replace(run / "fusion.safetensors")


if __name__ == "__main__":
    main()
