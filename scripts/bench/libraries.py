"""Other libraries on the same work, timed in a process of their own."""

TIMM_NAMES = {"vit_tiny": "vit_tiny_patch16_224", "vit_small": "vit_small_patch16_224",
              "vit_base": "vit_base_patch16_224", "vit_large": "vit_large_patch16_224",
              "swin_tiny": "swin_tiny_patch4_window7_224"}
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
GLOBAL_SIZE, LOCAL_SIZE, CLASSES = 224, 96, 1000


def autocast(options):
    import torch

    kind = {"fp32": None, "fp16": torch.float16, "bf16": torch.bfloat16}[options.precision]
    return torch.autocast(options.device, dtype=kind, enabled=kind is not None)


def waited(options):
    if options.device == "cuda":
        import torch

        torch.cuda.synchronize()


def features(options):
    """timm's class token of random images."""
    import timm
    import torch

    model = timm.create_model(TIMM_NAMES[options.arch], num_classes=0).to(options.device).eval()
    images = torch.randn(options.batch, 3, GLOBAL_SIZE, GLOBAL_SIZE, device=options.device)

    @torch.inference_mode()
    def run():
        with autocast(options):
            model(images)
        waited(options)

    return options.batch, run


def fine_tune(options):
    """End-to-end training of timm's network, AdamW with layer decay, drop path 0.2."""
    import timm
    import timm.optim
    import torch

    model = timm.create_model(TIMM_NAMES[options.arch], num_classes=CLASSES, drop_path_rate=0.2)
    model = model.to(options.device).train()
    groups = timm.optim.param_groups_layer_decay(model, weight_decay=0.05, layer_decay=0.65)
    optimizer = torch.optim.AdamW(groups, lr=1e-3, fused=True)
    images = torch.randn(options.batch, 3, GLOBAL_SIZE, GLOBAL_SIZE, device=options.device)
    labels = torch.randint(CLASSES, (options.batch,), device=options.device)
    targets = torch.nn.functional.one_hot(labels, CLASSES).float()
    scaler = torch.amp.GradScaler(options.device, enabled=options.precision == "fp16")

    def run():
        with autocast(options):
            loss = torch.nn.functional.cross_entropy(model(images), targets)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        waited(options)

    return options.batch, run


def albumentations(options):
    """The 12 crops by AlbumentationsX, images decoded by OpenCV."""
    import albumentations as A
    import cv2

    cv2.setNumThreads(1)

    def crop(size, scale, blur, solarize):
        return A.Compose([
            A.RandomResizedCrop((size, size), scale=scale, interpolation=cv2.INTER_CUBIC),
            A.HorizontalFlip(p=0.5),
            A.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1, p=0.8),
            A.ToGray(p=0.2),
            A.GaussianBlur(blur_limit=0, sigma_limit=(0.1, 2.0), p=blur),
            A.Solarize(p=solarize),
            A.Normalize(MEAN, DEVIATION),
        ])

    crops = [crop(GLOBAL_SIZE, (0.25, 1.0), 1.0, 0.0), crop(GLOBAL_SIZE, (0.25, 1.0), 0.1, 0.2)]
    crops += [crop(LOCAL_SIZE, (0.05, 0.25), 0.5, 0.0)] * options.local_crops

    def run():
        for path in options.files:
            image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
            for one in crops:
                one(image=image)["image"].transpose(2, 0, 1).copy()

    return len(options.files), run


def dali(options):
    """The 12 crops by DALI's operators on the CPU, one thread. It blurs whole batches: here the first
    global and every other local crop, which makes as many on average."""
    from nvidia.dali import fn, pipeline_def, types

    def crop(images, size, scale, blurred):
        out = fn.random_resized_crop(images, size=[size, size], random_area=scale,
                                     interp_type=types.INTERP_CUBIC, antialias=True)
        out = fn.flip(out, horizontal=fn.random.coin_flip())
        jittered = fn.color_twist(out, brightness=fn.random.uniform(range=(0.6, 1.4)),
                                  contrast=fn.random.uniform(range=(0.6, 1.4)),
                                  saturation=fn.random.uniform(range=(0.8, 1.2)),
                                  hue=fn.random.uniform(range=(-36.0, 36.0)))
        chosen = fn.random.coin_flip(probability=0.8, dtype=types.BOOL)
        out = chosen * jittered + (1 - chosen) * out
        out = fn.cast(out, dtype=types.UINT8)
        out = fn.hsv(out, saturation=1 - fn.cast(fn.random.coin_flip(probability=0.2), dtype=types.FLOAT))
        if blurred:
            out = fn.gaussian_blur(out, sigma=fn.random.uniform(range=(0.1, 2.0)))
        return fn.crop_mirror_normalize(out, mean=[255 * x for x in MEAN], std=[255 * x for x in DEVIATION])

    files = [str(path) for path in options.files]
    batch = min(16, len(files))

    @pipeline_def(batch_size=batch, num_threads=1, device_id=None)
    def pipeline():
        encoded, _ = fn.readers.file(files=files)
        images = fn.decoders.image(encoded, device="cpu")
        outputs = [crop(images, GLOBAL_SIZE, (0.25, 1.0), i == 0) for i in range(2)]
        outputs += [crop(images, LOCAL_SIZE, (0.05, 0.25), i % 2 == 0) for i in range(options.local_crops)]
        return tuple(outputs)

    built = pipeline()
    built.build()
    rounds = len(files) // batch

    def run():
        for _ in range(rounds):
            built.run()

    return rounds * batch, run
