#!/usr/bin/env python3
"""Times the official iBOT code and ours on the same work, in turn, and prints both and their ratio.

    scripts/bench_reference.py OFFICIAL [--data DIR] [--bench build/release/bin/ibot-bench] [--rounds 5]

OFFICIAL is a checkout of bytedance/ibot. Three cases, one CPU thread each; knn only when asked for:

  step  one whole training step of ViT-S/16 in fp32: 2 x 224 + 10 x 96 px, 8192 prototypes, masks,
        class and patch loss, backward, clipping, AdamW, teacher update
  data  the official 12-crop transform over the images of DIR, decoding included
  knn   k = 20 neighbours of 2 000 random features among 1 281 167, 384 wide

Every round measures one after the other in processes of their own, so that a busy machine slows
both; what is printed last is the median of the rounds' ratios. The official side of `data` counts CPU
time, ours wall time: with other work on the machine the ratio errs towards the official code.

This Python needs torch, torchvision, numpy and Pillow; nothing of ours needs them.
"""

import argparse
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time
import types

REQUIRED = {"torch": "torch", "torchvision": "torchvision", "numpy": "numpy", "PIL": "pillow"}
KNN_ROWS, KNN_WIDTH, KNN_QUERIES, KNN_K = 1281167, 384, 2000, 20
GLOBAL_SIZE, LOCAL_SIZE, LOCAL_CROPS, PROTOTYPES, PATCH = 224, 96, 10, 8192, 16
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


def fail(message):
    sys.exit("error: " + message)


# ---- The official code, in a process of its own ----


def stand_in(name, **attributes):
    """Registers an empty module for an import that the timed work never uses."""
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)  # torch asks what is installed
    module.__dict__.update(attributes)
    sys.modules[name] = module


def ignore_decoration(function):
    return function


def import_official(path):
    """The official main module, on a torch, numpy and timm later than those it was written for."""
    import numpy
    import torch

    stand_in("torch._six", inf=float("inf"), string_classes=(str,))
    stand_in("tensorboardX", SummaryWriter=None)
    stand_in("munkres", Munkres=None)
    stand_in("sklearn", metrics=None)
    # Of timm only Swin's helpers and a decorator are imported.
    stand_in("timm")
    stand_in("timm.models")
    stand_in("timm.models.layers", DropPath=None, to_2tuple=None, trunc_normal_=None)
    stand_in("timm.models.registry", register_model=ignore_decoration)
    if not hasattr(numpy, "in1d"):
        numpy.in1d = numpy.isin
    torch.Tensor.cuda = lambda tensor, *_, **__: tensor
    sys.path.insert(0, str(path))
    import main_ibot

    return main_ibot


def alone():
    """A process group of one, which the centers are reduced over."""
    import torch

    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)


class OfficialStep:
    """One step of the official training loop over fixed random crops."""

    def __init__(self, main, batch):
        import torch
        from models.head import iBOTHead
        from models.vision_transformer import vit_small

        self.torch, self.utils = torch, main.utils
        torch.manual_seed(0)

        def network(drop_path, masked):
            backbone = vit_small(patch_size=PATCH, drop_path_rate=drop_path, return_all_tokens=True,
                                 masked_im_modeling=masked)
            head = iBOTHead(backbone.embed_dim, PROTOTYPES, patch_out_dim=PROTOTYPES, norm=None,
                            act="gelu", norm_last_layer=True, shared_head=True)
            return main.utils.MultiCropWrapper(backbone, head)

        self.student, self.teacher = network(0.1, True), network(0.0, False)
        self.teacher.load_state_dict(self.student.state_dict(), strict=False)
        self.teacher.requires_grad_(False)
        self.loss = main.iBOTLoss(PROTOTYPES, PROTOTYPES, 2, LOCAL_CROPS, 0.04, 0.04, 0.04, 0.07, 0, 10)
        self.optimizer = torch.optim.AdamW(main.utils.get_params_groups(self.student))
        self.student_parameters = dict(self.student.named_parameters())
        sizes = [GLOBAL_SIZE] * 2 + [LOCAL_SIZE] * LOCAL_CROPS
        self.crops = [torch.randn(batch, 3, size, size) for size in sizes]
        # As the recipe draws them: half of the views unmasked, the others by 0.3 on average.
        grid = GLOBAL_SIZE // PATCH
        self.masks = [torch.rand(batch, grid, grid) < ratio for ratio in (0.0, 0.3)]

    def run(self):
        backbone = self.student.backbone
        teacher_output = self.teacher(self.crops[:2])
        student_output = self.student(self.crops[:2], mask=self.masks)
        backbone.masked_im_modeling = False
        local_class = self.student(self.crops[2:])[0]
        backbone.masked_im_modeling = True
        terms = self.loss(student_output, teacher_output, local_class, self.masks, 0)
        self.optimizer.zero_grad()
        terms["loss"].backward()
        self.utils.clip_gradients(self.student, 3.0)
        self.utils.cancel_gradients_last_layer(1, self.student, 1)
        self.optimizer.step()
        with self.torch.no_grad():
            for name, parameter in self.teacher.named_parameters():
                parameter.mul_(0.996).add_(0.004 * self.student_parameters[name])
        return terms["loss"].item()


def time_official_step(main, options):
    alone()
    step = OfficialStep(main, options.batch)
    step.run()
    seconds = []
    for _ in range(options.steps):
        start = time.perf_counter()
        step.run()
        seconds.append(time.perf_counter() - start)
    return options.batch / statistics.median(seconds)


def time_official_data(main, options):
    from PIL import Image

    transform = main.DataAugmentationiBOT((0.25, 1.0), (0.05, 0.25), 2, LOCAL_CROPS)
    files = sorted(path for path in options.data.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not files:
        fail(f"{options.data}: expected images, found none")
    files = files[: options.images]
    for path in files[:4]:
        transform(Image.open(path).convert("RGB"))
    start = time.process_time()
    for path in files:
        transform(Image.open(path).convert("RGB"))
    return len(files) / (time.process_time() - start)


def time_official_knn(main, options):
    import torch
    from torch.nn.functional import normalize

    sys.path.insert(0, str(options.official / "evaluation"))
    stand_in("loader", ImageFolderInstance=None)
    from eval_knn import knn_classifier

    torch.manual_seed(0)
    train, test = (normalize(torch.randn(count, KNN_WIDTH)) for count in (KNN_ROWS, KNN_QUERIES))
    labels = [torch.randint(1000, (count,)) for count in (KNN_ROWS, KNN_QUERIES)]
    seconds = []
    for _ in range(options.steps):
        start = time.perf_counter()
        knn_classifier(train, labels[0], test, labels[1], KNN_K, 0.07, use_cuda=False)
        seconds.append(time.perf_counter() - start)
    return KNN_QUERIES / statistics.median(seconds)


def official_worker(options):
    import torch

    torch.set_num_threads(options.threads)
    main = import_official(options.official)
    measure = {"step": time_official_step, "data": time_official_data, "knn": time_official_knn}[options.worker]
    rate = measure(main, options)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"images_per_s": rate, "peak_memory_bytes": peak}))


# ---- Both, in turn ----


def last_record(command, threads):
    """The last JSON object that a command prints, a line each."""
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), PYTHONWARNINGS="ignore")
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines() or ["no message"]
        fail(f"{' '.join(map(str, command))}: exit {done.returncode}: {reason[-1]}")
    records = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not records:
        fail(f"{' '.join(map(str, command))}: expected a JSON object on stdout, found none")
    return json.loads(records[-1])


def official_command(case, options):
    command = [sys.executable, __file__, options.official, "--worker", case, "--batch", options.batch,
               "--steps", options.steps, "--threads", options.threads, "--images", options.images]
    return [str(part) for part in command + (["--data", options.data] if options.data else [])]


def our_command(case, options):
    augment = ["augment.global_size=224", "augment.global_scale=[0.25,1.0]", "augment.local_size=96",
               "augment.local_scale=[0.05,0.25]", f"augment.local_crops={LOCAL_CROPS}"]
    if case == "knn":
        parts = ["knn", "--rows", KNN_ROWS, "--width", KNN_WIDTH, "--queries", KNN_QUERIES, "--k", KNN_K,
                 "--device", "cpu", "--steps", options.steps]
    elif case == "data":
        parts = ["data", options.data, *augment, f"data.workers={options.threads}"]
    else:
        parts = ["step", *augment, "backbone.arch=vit_small", f"backbone.patch_size={PATCH}",
                 "backbone.drop_path=0.1", f"head.prototypes={PROTOTYPES}",
                 f"head.patch_prototypes={PROTOTYPES}", "head.shared=true", "mask.ratio=[0.0,0.3]",
                 "mask.ratio_var=[0.0,0.2]", f"train.batch_size={options.batch}",
                 "train.precision=fp32", "--device", "cpu", "--steps", options.steps]
    return [str(part) for part in [options.bench, *parts, "--threads", options.threads]]


def spread(values):
    return f"{statistics.median(values):8.3f}  ({min(values):.3f} to {max(values):.3f})"


def mebibytes(records):
    return f"{max(record['peak_memory_bytes'] for record in records) / 2**20:8.0f} MiB"


def compare(case, options):
    """Runs all rounds of a case and prints its table."""
    title = {"step": f"step: ViT-S/16, 2x224 + {LOCAL_CROPS}x96, batch {options.batch}, "
                     f"{PROTOTYPES} prototypes, fp32",
             "knn": f"knn: {KNN_QUERIES} against {KNN_ROWS} features, {KNN_WIDTH} wide, k = {KNN_K}",
             "data": f"data: 2x224 + {LOCAL_CROPS}x96 crops of {options.data}"}[case]
    print(f"\n{title}, {options.threads} CPU thread{'s'[: options.threads != 1]}")
    print("round   official images/s   ours images/s   ratio", flush=True)
    official, ours, ratios = [], [], []
    for index in range(options.rounds):
        official.append(last_record(official_command(case, options), options.threads))
        ours.append(last_record(our_command(case, options), options.threads))
        theirs, own = official[-1]["images_per_s"], ours[-1]["images_per_s"]
        ratios.append(own / theirs)
        print(f"{index + 1:5}   {theirs:17.3f}   {own:13.3f}   {ratios[-1]:5.2f}", flush=True)
    print(f"official {spread([record['images_per_s'] for record in official])} images/s, peak {mebibytes(official)}")
    print(f"ours     {spread([record['images_per_s'] for record in ours])} images/s, peak {mebibytes(ours)}")
    print(f"ratio    {spread(ratios)}, median of {options.rounds}")


def parse():
    root = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("official", type=pathlib.Path, help="checkout of bytedance/ibot")
    parser.add_argument("--bench", type=pathlib.Path, default=root / "build/release/bin/ibot-bench")
    parser.add_argument("--data", type=pathlib.Path, help="folder of images; without it, only the step is timed")
    parser.add_argument("--case", choices=["step", "data", "knn"], help="only this case")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3, help="timed steps a round, after one to warm up")
    parser.add_argument("--batch", type=int, default=4, help="images a step")
    parser.add_argument("--images", type=int, default=64, help="images a round of the official data case")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--worker", choices=["step", "data", "knn"], help=argparse.SUPPRESS)
    return parser.parse_args()


def check(options):
    missing = [package for module, package in REQUIRED.items() if importlib.util.find_spec(module) is None]
    if missing:
        fail(f"{sys.executable}: expected {', '.join(REQUIRED.values())}, missing {', '.join(missing)}; "
             f"{sys.executable} -m pip install {' '.join(missing)}")
    if not (options.official / "main_ibot.py").is_file():
        fail(f"{options.official}: expected a checkout of bytedance/ibot, found no main_ibot.py")
    if options.data and not options.data.is_dir():
        fail(f"{options.data}: expected a folder of images")
    if options.case == "data" and not options.data:
        fail("--case data: expected --data DIR")
    if not options.worker and not options.bench.is_file():
        fail(f"{options.bench}: expected ibot-bench; build it or name it with --bench")


def main():
    options = parse()
    check(options)
    if options.worker:
        official_worker(options)
        return
    cases = [options.case] if options.case else ["step", "data"] if options.data else ["step"]
    for case in cases:
        compare(case, options)


if __name__ == "__main__":
    main()
