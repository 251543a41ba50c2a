"""Pictures as Pillow decodes, turns, composes and resizes them: `pictures.safetensors`, of each picture the file and the pixels.

    python tests/golden/pictures.py
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from safetensors.numpy import save

ORIENTATION = 0x0112


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    contents = io.BytesIO()
    image.save(contents, kind, **options)
    return contents.getvalue()


def over(image: Image.Image, color: tuple[int, int, int]) -> np.ndarray:
    """alpha x + (1 - alpha) background in float64, rounded."""
    rgba = np.asarray(image.convert("RGBA"), np.float64)
    alpha = rgba[..., 3:] / 255
    return np.rint(alpha * rgba[..., :3] + (1 - alpha) * np.array(color, np.float64)).astype(np.uint8)


def main() -> None:
    random = np.random.default_rng(7)
    tensors = {}

    def add(name: str, contents: bytes, pixels: np.ndarray) -> None:
        tensors[f"{name}/file"] = np.frombuffer(contents, np.uint8)
        tensors[f"{name}/pixels"] = np.ascontiguousarray(pixels, np.uint8)

    colors = Image.fromarray(random.integers(0, 256, (3, 4, 3), np.uint8))
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        contents = encoded(colors, "PNG", exif=exif)
        add(f"png-orientation-{orientation}", contents, np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(contents)))))
    # Smooth, so that decoders of JPEG differ by little.
    ramp = np.stack([np.add.outer(8 * np.arange(16), 4 * np.arange(24)) + 20 * c for c in range(3)], -1).astype(np.uint8)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    for name, options in [("baseline", {}), ("progressive", {"progressive": True}), ("restart", {"restart_marker_rows": 1})]:
        contents = encoded(Image.fromarray(ramp), "JPEG", quality=95, exif=exif, **options)
        add(f"jpeg-{name}", contents, np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(contents)))))

    rgba = random.integers(0, 256, (4, 5, 4), np.uint8)
    rgba[0, :2, 3] = [0, 255]
    for name, color in [("white", (255, 255, 255)), ("black", (0, 0, 0)), ("color", (200, 100, 7))]:
        image = Image.fromarray(rgba)
        add(f"rgba-over-{name}", encoded(image, "PNG"), over(image, color))
    gray_alpha = Image.fromarray(rgba[..., [0, 3]], "LA")
    add("la-over-white", encoded(gray_alpha, "PNG"), over(gray_alpha, (255, 255, 255))[..., :1])
    palette = Image.fromarray(random.integers(0, 3, (4, 5), np.uint8), "P")
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    contents = encoded(palette, "PNG", transparency=1)
    add("palette-over-white", contents, over(Image.open(io.BytesIO(contents)), (255, 255, 255)))
    wide = random.integers(0, 65536, (4, 5), np.uint16)
    wide[0] = [0, 128, 255, 65535, 257]
    add("gray-16", encoded(Image.fromarray(wide), "PNG"), np.rint(wide / 257)[..., None])

    photograph = np.clip(128 + 60 * np.sin(np.arange(40)[:, None, None] / 5 + np.arange(3)) +
                         60 * np.cos(np.arange(56)[None, :, None] / 7) + random.normal(0, 8, (40, 56, 3)), 0, 255)
    image = Image.fromarray(photograph.astype(np.uint8))
    for height, width in [(16, 16), (13, 29), (80, 60)]:
        small = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
        add(f"resized-{height}-{width}", encoded(image, "PNG"), small)

    Path(__file__).with_name("pictures.safetensors").write_bytes(save(tensors))


main()
