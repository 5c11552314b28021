"""Peers of dense prediction: UPerNet on a ViT in plain PyTorch, as mmsegmentation builds it; torchvision's operators."""

import dataclasses

from bench.libraries import autocast, waited

SIZE, AUXILIARY_WEIGHT, DROPOUT = 512, 0.4, 0.1


@dataclasses.dataclass
class Shape:
    width: int
    depth: int
    heads: int
    taps: tuple = (3, 5, 7, 11)
    size: int = SIZE
    channels: int = 0  # 0: the width
    auxiliary_channels: int = 256
    classes: int = 150


SHAPES = {"vit_tiny": Shape(192, 12, 3), "vit_small": Shape(384, 12, 6), "vit_base": Shape(768, 12, 12)}


def build(shape):
    """The segmentor under mmsegmentation's names; its forward gives the logits of both heads."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    width, heads, channels = shape.width, shape.heads, shape.channels or shape.width

    def resized(maps, size):
        return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)

    class ConvModule(nn.Module):
        def __init__(self, inputs, outputs, kernel):
            super().__init__()
            self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
            self.bn = nn.BatchNorm2d(outputs)

        def forward(self, x):
            return F.relu(self.bn(self.conv(x)), inplace=True)

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

        def forward(self, x):
            b, n, d = x.shape
            q, k, v = self.qkv(x).reshape(b, n, 3, heads, d // heads).permute(2, 0, 3, 1, 4)
            return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, d))

    class Mlp(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x):
            return self.fc2(F.gelu(self.fc1(x)))

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
            self.attn, self.mlp = Attention(), Mlp()

        def forward(self, x):
            x = x + self.attn(self.norm1(x))
            return x + self.mlp(self.norm2(x))

    class Backbone(nn.Module):
        def __init__(self):
            super().__init__()
            self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, 16, 16)})
            self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
            self.pos_embed = nn.Parameter(torch.zeros(1, (shape.size // 16) ** 2 + 1, width))
            self.blocks = nn.ModuleList([Block() for _ in range(shape.depth)])
            self.norm = nn.LayerNorm(width, eps=1e-6)
            doubled = lambda: nn.ConvTranspose2d(width, width, 2, 2)
            self.fpn1 = nn.Sequential(doubled(), nn.BatchNorm2d(width), nn.GELU(), doubled())
            self.fpn2 = nn.Sequential(doubled())

        def forward(self, images):
            x = self.patch_embed["proj"](images)
            rows, columns = x.shape[2:]
            x = x.flatten(2).transpose(1, 2)
            x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1) + self.pos_embed
            maps = []
            for i, block in enumerate(self.blocks):
                x = block(x)
                if i in shape.taps:
                    y = self.norm(x)[:, 1:].transpose(1, 2).reshape(x.shape[0], -1, rows, columns)
                    maps.append(y.contiguous())
            return [self.fpn1(maps[0]), self.fpn2(maps[1]), maps[2], F.max_pool2d(maps[3], 2)]

    class UperHead(nn.Module):
        def __init__(self):
            super().__init__()
            self.psp_modules = nn.ModuleList([nn.Sequential(nn.AdaptiveAvgPool2d(side), ConvModule(width, channels, 1))
                                              for side in (1, 2, 3, 6)])
            self.bottleneck = ConvModule(width + 4 * channels, channels, 3)
            self.lateral_convs = nn.ModuleList([ConvModule(width, channels, 1) for _ in range(3)])
            self.fpn_convs = nn.ModuleList([ConvModule(channels, channels, 3) for _ in range(3)])
            self.fpn_bottleneck = ConvModule(4 * channels, channels, 3)
            self.dropout, self.conv_seg = nn.Dropout2d(DROPOUT), nn.Conv2d(channels, shape.classes, 1)

        def forward(self, features):
            pooled = [features[3]] + [resized(pool(features[3]), features[3].shape[2:]) for pool in self.psp_modules]
            levels = [lateral(f) for lateral, f in zip(self.lateral_convs, features)]
            levels.append(self.bottleneck(torch.cat(pooled, 1)))
            for i in (3, 2, 1):
                levels[i - 1] = levels[i - 1] + resized(levels[i], levels[i - 1].shape[2:])
            maps = [output(level) for output, level in zip(self.fpn_convs, levels)] + levels[3:]
            fused = self.fpn_bottleneck(torch.cat([resized(m, maps[0].shape[2:]) for m in maps], 1))
            return self.conv_seg(self.dropout(fused))

    class AuxiliaryHead(nn.Module):
        def __init__(self):
            super().__init__()
            self.convs = nn.ModuleList([ConvModule(width, shape.auxiliary_channels, 3)])
            self.dropout = nn.Dropout2d(DROPOUT)
            self.conv_seg = nn.Conv2d(shape.auxiliary_channels, shape.classes, 1)

        def forward(self, feature):
            return self.conv_seg(self.dropout(self.convs[0](feature)))

    class Segmentor(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone, self.decode_head, self.auxiliary_head = Backbone(), UperHead(), AuxiliaryHead()

        def forward(self, images):
            features = self.backbone(images)
            return [resized(logits, images.shape[2:])
                    for logits in (self.decode_head(features), self.auxiliary_head(features[2]))]

    return Segmentor()


def segment(options):
    """A training step: both losses, pixel accuracy as the training log has it, AdamW."""
    import torch
    from torch.nn import functional as F

    shape = SHAPES[options.arch]
    model = build(shape).to(options.device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, weight_decay=0.05, fused=True)
    images = torch.randn(options.batch, 3, SIZE, SIZE, device=options.device)
    labels = torch.randint(shape.classes, (options.batch, SIZE, SIZE), device=options.device)

    def run():
        with autocast(options):
            decode, auxiliary = model(images)
        losses = [F.cross_entropy(logits.float(), labels, ignore_index=255) for logits in (decode, auxiliary)]
        (decode.detach().argmax(1) == labels).float().mean()
        optimizer.zero_grad()
        (losses[0] + AUXILIARY_WEIGHT * losses[1]).backward()
        optimizer.step()
        waited(options)

    return options.batch, run


def drawn_boxes(count, places, least, most):
    import torch

    corners = torch.rand(count, 2) * torch.tensor(places)
    return torch.cat([corners, corners + torch.rand(count, 2) * (most - least) + least], 1)


def regions(options):
    import torch
    from torchvision import ops

    maps = torch.rand(2, 256, 100, 168, device=options.device, requires_grad=True)
    image = (torch.arange(512) % 2).float()[:, None]
    boxes = torch.cat([image, drawn_boxes(512, [500.0, 300.0], 8.0, 108.0)], 1).to(options.device)

    def work():
        maps.grad = None
        ops.roi_align(maps, boxes, (7, 7), 0.25, 0, True).sum().backward()
        waited(options)

    return 2, work


def suppression(options):
    import torch
    from torchvision import ops

    boxes, scores = drawn_boxes(10_000, [800.0, 800.0], 4.0, 124.0), torch.rand(10_000)
    return 1, lambda: ops.nms(boxes, scores, 0.7)
