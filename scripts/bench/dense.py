"""Peers of dense prediction: UPerNet on a ViT in plain PyTorch, as mmsegmentation builds it; torchvision's operators."""

from bench.libraries import autocast, waited

SIZE, CLASSES, AUXILIARY_WEIGHT = 512, 150, 0.4
SHAPES = {"vit_tiny": (192, 12, 3), "vit_small": (384, 12, 6), "vit_base": (768, 12, 12)}
TAPS = (3, 5, 7, 11)


def build(arch):
    """The segmentor; its forward gives the logits of both heads."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    width, depth, heads = SHAPES[arch]

    def resized(maps, size):
        return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)

    def conv_module(inputs, outputs, kernel):
        return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
                             nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
            self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x):
            b, n, d = x.shape
            q, k, v = self.qkv(self.norm1(x)).reshape(b, n, 3, heads, d // heads).permute(2, 0, 3, 1, 4)
            y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, d)
            x = x + self.proj(y)
            return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))

    class Backbone(nn.Module):
        def __init__(self):
            super().__init__()
            self.patch_embed = nn.Conv2d(3, width, 16, 16)
            self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
            self.pos_embed = nn.Parameter(torch.zeros(1, (SIZE // 16) ** 2 + 1, width))
            self.blocks = nn.ModuleList([Block() for _ in range(depth)])
            self.norm = nn.LayerNorm(width, eps=1e-6)
            doubled = lambda: nn.ConvTranspose2d(width, width, 2, 2)
            self.fpn1 = nn.Sequential(doubled(), nn.BatchNorm2d(width), nn.GELU(), doubled())
            self.fpn2 = doubled()

        def forward(self, images):
            x = self.patch_embed(images)
            rows, columns = x.shape[2:]
            x = x.flatten(2).transpose(1, 2)
            x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1) + self.pos_embed
            maps = []
            for i, block in enumerate(self.blocks):
                x = block(x)
                if i in TAPS:
                    y = self.norm(x)[:, 1:].transpose(1, 2).reshape(x.shape[0], -1, rows, columns)
                    maps.append(y.contiguous())
            return [self.fpn1(maps[0]), self.fpn2(maps[1]), maps[2], F.max_pool2d(maps[3], 2)]

    class Segmentor(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone = Backbone()
            self.pools = nn.ModuleList([nn.Sequential(nn.AdaptiveAvgPool2d(s), conv_module(width, width, 1))
                                        for s in (1, 2, 3, 6)])
            self.bottleneck = conv_module(5 * width, width, 3)
            self.laterals = nn.ModuleList([conv_module(width, width, 1) for _ in range(3)])
            self.outputs = nn.ModuleList([conv_module(width, width, 3) for _ in range(3)])
            self.fusion = conv_module(4 * width, width, 3)
            self.classifier = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(width, CLASSES, 1))
            self.auxiliary = nn.Sequential(conv_module(width, 256, 3), nn.Dropout2d(0.1), nn.Conv2d(256, CLASSES, 1))

        def forward(self, images):
            features = self.backbone(images)
            pooled = [features[3]] + [resized(pool(features[3]), features[3].shape[2:]) for pool in self.pools]
            levels = [lateral(f) for lateral, f in zip(self.laterals, features)]
            levels.append(self.bottleneck(torch.cat(pooled, 1)))
            for i in (3, 2, 1):
                levels[i - 1] = levels[i - 1] + resized(levels[i], levels[i - 1].shape[2:])
            maps = [output(level) for output, level in zip(self.outputs, levels)] + levels[3:]
            fused = self.fusion(torch.cat([resized(m, maps[0].shape[2:]) for m in maps], 1))
            return [resized(logits, images.shape[2:])
                    for logits in (self.classifier(fused), self.auxiliary(features[2]))]

    return Segmentor()


def segment(options):
    """A training step: both losses, pixel accuracy as the training log has it, AdamW."""
    import torch
    from torch.nn import functional as F

    model = build(options.arch).to(options.device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, weight_decay=0.05, fused=True)
    images = torch.randn(options.batch, 3, SIZE, SIZE, device=options.device)
    labels = torch.randint(CLASSES, (options.batch, SIZE, SIZE), device=options.device)

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
