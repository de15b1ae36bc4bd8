"""Makes the pictures beside it: python3 make.py, with pillow and numpy.

Most are one picture of 300 x 200 pixels in which no two corners look alike, in all formats and
sorts. `expected-*.png` is how Pillow shows them in 256 pixels: another decoder, another scaling.
"""

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms, ImageDraw, ImageOps

W, H = 300, 200
y, x = np.mgrid[0:H, 0:W]
plain = np.stack([x * 220 // W + 20, y * 200 // H + 30, 128 + 80 * np.sin((x + 2 * y) / 60)], axis=2)
look = Image.fromarray(plain.astype(np.uint8))
draw = ImageDraw.Draw(look)
draw.rectangle([20, 20, 90, 60], fill=(230, 30, 30))
draw.ellipse([200, 30, 280, 90], fill=(20, 60, 200))
draw.polygon([(40, 180), (90, 120), (140, 180)], fill=(240, 220, 40))
alpha = Image.fromarray((255 * (1 - (((x - 150) / 150) ** 2 + ((y - 100) / 100) ** 2).clip(0, 1))).astype(np.uint8))
seen = look.copy()
seen.putalpha(alpha)
gray = look.convert("L")


def small(picture, name):
    picture = ImageOps.exif_transpose(picture)
    mode = picture.mode if picture.mode in ("L", "RGB", "RGBA") else "RGBA"
    picture = picture.convert(mode)
    picture.thumbnail((256, 256), Image.LANCZOS, reducing_gap=None)
    picture.save(f"expected-{name}.png", optimize=True)


small(look.copy(), "look")
small(seen.copy(), "seen")
small(gray.copy(), "gray")

# JPEG.
look.save("baseline.jpg", quality=90)
look.save("s444.jpg", quality=90, subsampling=0)
look.save("s422.jpg", quality=90, subsampling=1)
look.save("progressive.jpg", quality=90, progressive=True)
look.save("restarts.jpg", quality=90, restart_marker_blocks=5)
gray.save("gray.jpg", quality=90)
for number in range(1, 9):
    # Stored so that turning it as the number says gives the look.
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = look if number == 1 else look.transpose(Image.Transpose(undo[number]))
    exif = Image.Exif()
    exif[0x112] = number
    stored.save(f"orientation-{number}.jpg", quality=90, exif=exif)
    if number in (6, 7):
        stored.save(f"orientation-{number}.png", exif=exif)
        stored.save(f"orientation-{number}.webp", quality=90, exif=exif)
    if number == 6:
        stored.save("orientation-6.tif", compression="tiff_lzw", tiffinfo={0x112: number})
assert Image.open("orientation-6.jpg").size == (H, W)
for number in range(1, 9):
    with Image.open(f"orientation-{number}.jpg") as turned:
        assert np.abs(np.asarray(ImageOps.exif_transpose(turned), int) - np.asarray(look, int)).mean() < 4
# Ink, as Pillow writes it: inverted, with Adobe's mark.
ink = look.convert("CMYK")
ink.save("cmyk.jpg", quality=92)
cut = open("baseline.jpg", "rb").read()
open("cut.jpg", "wb").write(cut[: len(cut) * 2 // 3])
# A profile in which red and blue have changed places: who ignores it shows other colours.
profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
count = struct.unpack(">I", profile[128:132])[0]
tags = {bytes(profile[132 + 12 * n : 136 + 12 * n]): 132 + 12 * n for n in range(count)}
red, blue = tags[b"rXYZ"], tags[b"bXYZ"]
profile[red + 4 : red + 12], profile[blue + 4 : blue + 12] = profile[blue + 4 : blue + 12], profile[red + 4 : red + 12]
swapped = Image.merge("RGB", look.split()[::-1])
swapped.save("profile.jpg", quality=90, icc_profile=bytes(profile))
swapped.save("profile.png", icc_profile=bytes(profile))

# PNG.
look.save("rgb.png")
seen.save("seen.png")
gray.save("gray.png")
look.quantize(64).save("palette.png")
few = look.quantize(63)
indices = np.asarray(few).copy()
indices[np.asarray(alpha) < 60] = 63
hidden = Image.frombytes("P", (W, H), indices.tobytes())
hidden.putpalette(few.getpalette()[: 63 * 3] + [1, 2, 3])
hidden.save("palette-seen.png", transparency=63)
small(Image.open("palette-seen.png").convert("RGBA"), "palette-seen")


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png16(array, colour, name):
    rows = b"".join(b"\0" + row.tobytes() for row in (array.astype(np.uint32) * 257).astype(">u2"))
    head = struct.pack(">IIBBBBB", W, H, 16, colour, 0, 0, 0)
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows, 9)), chunk(b"IEND", b"")]
    open(name, "wb").write(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


png16(np.asarray(look), 2, "rgb16.png")
png16(np.asarray(seen), 6, "seen16.png")
png16(np.asarray(gray), 0, "gray16.png")
cut = open("rgb.png", "rb").read()
open("cut.png", "wb").write(cut[: len(cut) * 2 // 3])

# The others.
look.quantize(255).save("still.gif")
turned = [look.quantize(64), look.transpose(Image.Transpose.ROTATE_180).quantize(64)]
turned[0].save("animated.gif", save_all=True, append_images=turned[1:], duration=100, loop=0)
look.save("lossy.webp", quality=90)
seen.save("lossless.webp", lossless=True)
look.save("animated.webp", save_all=True, append_images=[look.rotate(180)], duration=100, quality=60)
look.quantize(32).save("animated.png", save_all=True, append_images=[look.rotate(180).quantize(32)], duration=100)
seen.resize((256, 256)).save("icon.ico", sizes=[(16, 16), (256, 256)])
small(seen.resize((256, 256)), "icon")
look.save("deflate.tif", compression="tiff_adobe_deflate")
ink.save("cmyk.tif", compression="tiff_adobe_deflate")
small(Image.open("cmyk.tif").convert("RGB"), "ink")
half = look.resize((150, 100), Image.LANCZOS)
half.save("look.bmp")
half.save("look.ppm")
small(half.copy(), "half")
