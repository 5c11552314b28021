"""The official iBOT code, timed in a process of its own."""

import importlib.machinery
import sys
import types

GLOBAL_SIZE, LOCAL_SIZE, PATCH = 224, 96, 16
KNN_ROWS, KNN_WIDTH, KNN_QUERIES, KNN_K = 1281167, 384, 2000, 20
VIDEO_ROWS, VIDEO_COLUMNS, VIDEO_WIDTH, VIDEO_FRAMES = 30, 52, 384, 8


def stand_in(name, **attributes):
    """Registers an empty module for an import that the timed work never uses."""
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)  # torch asks what is installed
    module.__dict__.update(attributes)
    sys.modules[name] = module


def ignore_decoration(function):
    return function


def import_official(options):
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
    stand_in("timm.models.layers", DropPath=torch.nn.Identity, to_2tuple=lambda x: (x, x),
             trunc_normal_=torch.nn.init.trunc_normal_)
    stand_in("timm.models.registry", register_model=ignore_decoration)
    if not hasattr(numpy, "in1d"):
        numpy.in1d = numpy.isin
    if options.device == "cpu":
        torch.Tensor.cuda = lambda tensor, *_, **__: tensor
    sys.path.insert(0, str(options.official))
    import main_ibot

    return main_ibot


def join_group_of_one(device):
    """The process group that the centers are reduced over."""
    import torch

    backend = "nccl" if device == "cuda" else "gloo"
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group(backend, store=store, rank=0, world_size=1)


class OfficialStep:
    """One step of the official training loop over fixed random crops."""

    def __init__(self, main, options):
        import torch
        from models import vision_transformer
        from models.head import iBOTHead

        self.torch, self.utils, self.device = torch, main.utils, options.device
        torch.manual_seed(0)
        build = getattr(vision_transformer, options.arch)

        def network(drop_path, masked):
            backbone = build(patch_size=PATCH, drop_path_rate=drop_path, return_all_tokens=True,
                             masked_im_modeling=masked)
            if options.compile:
                backbone.compile()
            head = iBOTHead(backbone.embed_dim, options.prototypes, patch_out_dim=options.prototypes,
                            norm=None, act="gelu", norm_last_layer=True, shared_head=True)
            return main.utils.MultiCropWrapper(backbone, head).to(self.device)

        self.student, self.teacher = network(0.1, True), network(0.0, False)
        self.teacher.load_state_dict(self.student.state_dict(), strict=False)
        self.teacher.requires_grad_(False)
        self.loss = main.iBOTLoss(options.prototypes, options.prototypes, 2, options.local_crops, 0.04,
                                  0.04, 0.04, 0.07, 0, 10).to(self.device)
        self.optimizer = torch.optim.AdamW(main.utils.get_params_groups(self.student))
        self.student_parameters = dict(self.student.named_parameters())
        self.autocast_type = {"fp32": None, "fp16": torch.float16, "bf16": torch.bfloat16}[options.precision]
        self.scaler = torch.amp.GradScaler(self.device, enabled=options.precision == "fp16")
        sizes = [GLOBAL_SIZE] * 2 + [LOCAL_SIZE] * options.local_crops
        self.crops = [torch.randn(options.batch, 3, size, size, device=self.device) for size in sizes]
        # As the recipe draws them: half of the views unmasked, the others by 0.3 on average.
        grid = GLOBAL_SIZE // PATCH
        self.masks = [torch.rand(options.batch, grid, grid, device=self.device) < ratio for ratio in (0.0, 0.3)]

    def losses(self):
        backbone = self.student.backbone
        teacher_output = self.teacher(self.crops[:2])
        student_output = self.student(self.crops[:2], mask=self.masks)
        backbone.masked_im_modeling = False
        local_class = self.student(self.crops[2:])[0] if len(self.crops) > 2 else None
        backbone.masked_im_modeling = True
        return self.loss(student_output, teacher_output, local_class, self.masks, 0)

    def run(self):
        enabled = self.autocast_type is not None
        with self.torch.autocast(self.device, dtype=self.autocast_type, enabled=enabled):
            loss = self.losses()["loss"]
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        self.utils.clip_gradients(self.student, 3.0)
        self.utils.cancel_gradients_last_layer(1, self.student, 1)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        with self.torch.no_grad():
            for name, parameter in self.teacher.named_parameters():
                parameter.mul_(0.996).add_(0.004 * self.student_parameters[name])
        return loss.item()  # as the official loop, which waits for the device


def step(options):
    main = import_official(options)
    join_group_of_one(options.device)
    return options.batch, OfficialStep(main, options).run


def data(options):
    main = import_official(options)
    from PIL import Image

    transform = main.DataAugmentationiBOT((0.25, 1.0), (0.05, 0.25), 2, options.local_crops)

    def run():
        for path in options.files:
            transform(Image.open(path).convert("RGB"))

    return len(options.files), run


def knn(options):
    import torch
    from torch.nn.functional import normalize

    import_official(options)
    sys.path.insert(0, str(options.official / "evaluation"))
    stand_in("loader", ImageFolderInstance=None)
    from eval_knn import knn_classifier

    torch.manual_seed(0)
    rows, queries = (KNN_ROWS, KNN_QUERIES) if not options.quick else (20000, 200)
    train, test = (normalize(torch.randn(count, KNN_WIDTH)) for count in (rows, queries))
    labels = [torch.randint(1000, (count,)) for count in (rows, queries)]
    return queries, lambda: knn_classifier(train, labels[0], test, labels[1], KNN_K, 0.07, use_cuda=False)


def propagation(options):
    import torch

    import_official(options)
    sys.path.insert(0, str(options.official / "evaluation"))
    stand_in("cv2")
    stand_in("tqdm", tqdm=None)
    import eval_video_segmentation as video

    # The script reads its arguments from a global name too.
    video.args = types.SimpleNamespace(size_mask_neighborhood=12, topk=5)
    torch.manual_seed(0)
    patches = VIDEO_ROWS * VIDEO_COLUMNS
    target = torch.randn(patches, VIDEO_WIDTH)
    video.extract_feature = lambda *_, **__: (target, VIDEO_ROWS, VIDEO_COLUMNS)
    frames = [torch.randn(VIDEO_WIDTH, patches) for _ in range(VIDEO_FRAMES)]
    labels = [torch.rand(1, 3, VIDEO_ROWS, VIDEO_COLUMNS) for _ in frames]
    window = video.restrict_neighborhood(VIDEO_ROWS, VIDEO_COLUMNS).unsqueeze(0).repeat(VIDEO_FRAMES, 1, 1)

    def run():
        with torch.no_grad():
            video.label_propagation(video.args, None, None, frames, labels, window)

    return 1, run
